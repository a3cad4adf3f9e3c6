//! Signing and verifying a message of a kilobyte.

use aws_lc_rs::signature::{
    KeyPair as _, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87, ML_DSA_87_SIGNING,
    ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
};
use daa_crypto::{Context, CryptoSuite, Policy, SignatureAlgorithm, SigningKey};

use super::{line, pair};
use crate::line::Line;

const BENCH: Context = Context::new("daa bench v1");
const MESSAGE: [u8; 1024] = [0x5a; 1024];

static SIGN: [PqdsaSigningAlgorithm; 3] = [ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING];
static VERIFY: [PqdsaVerificationAlgorithm; 3] = [ML_DSA_44, ML_DSA_65, ML_DSA_87];

pub(super) fn run() -> Vec<Line> {
    let policy =
        SignatureAlgorithm::ALL.iter().fold(Policy::none(), |policy, &one| policy.with_signature(one));
    let suite = CryptoSuite::new().with_policy(policy);
    let mut lines = Vec::new();
    let sets = [SignatureAlgorithm::MlDsa44, SignatureAlgorithm::MlDsa65, SignatureAlgorithm::MlDsa87];
    for (place, algorithm) in sets.into_iter().enumerate() {
        lines.extend(ml_dsa(&suite, algorithm, &SIGN[place], &VERIFY[place]));
    }
    lines.extend(ed25519(&suite));
    lines.extend(slh_dsa(&suite));
    lines.extend(composite(&suite));
    lines
}

fn key(suite: &CryptoSuite, algorithm: SignatureAlgorithm) -> SigningKey {
    suite.signing_key_from_seed(algorithm, &vec![7; algorithm.seed_len()]).expect("a key")
}

fn verify(suite: &CryptoSuite, key: &SigningKey) -> impl FnMut() {
    let signature = key.sign(BENCH, &MESSAGE).expect("a signature");
    move || suite.verify(key.verifying_key(), BENCH, &MESSAGE, &signature).expect("it verifies")
}

fn ml_dsa(
    suite: &CryptoSuite,
    algorithm: SignatureAlgorithm,
    signing: &'static PqdsaSigningAlgorithm,
    verifying: &'static PqdsaVerificationAlgorithm,
) -> Vec<Line> {
    let ours = key(suite, algorithm);
    let bare = PqdsaKeyPair::from_seed(signing, &[7; 32]).expect("a key");
    let public = ParsedPublicKey::new(verifying, bare.public_key().as_ref()).expect("a key");
    let mut buffer = vec![0; signing.signature_len()];
    bare.sign(&MESSAGE, &mut buffer).expect("a signature");
    let signature = buffer.clone();
    vec![
        line(
            format!("{algorithm}: key from a seed"),
            "aws-lc-rs",
            pair(50, || key(suite, algorithm), || PqdsaKeyPair::from_seed(signing, &[7; 32]).expect("a key")),
        ),
        line(
            format!("{algorithm}: sign 1 KiB"),
            "aws-lc-rs",
            pair(
                50,
                || ours.sign(BENCH, &MESSAGE).expect("a signature"),
                || bare.sign(&MESSAGE, &mut buffer).expect("a signature"),
            ),
        ),
        line(
            format!("{algorithm}: verify 1 KiB"),
            "aws-lc-rs",
            pair(100, verify(suite, &ours), || public.verify_sig(&MESSAGE, &signature).expect("it verifies")),
        ),
    ]
}

fn ed25519(suite: &CryptoSuite) -> Vec<Line> {
    use ed25519_dalek::Signer as _;
    let ours = key(suite, SignatureAlgorithm::Ed25519);
    let bare = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let (public, signature) = (bare.verifying_key(), bare.sign(&MESSAGE));
    vec![
        line(
            "Ed25519: sign 1 KiB",
            "ed25519-dalek",
            pair(200, || ours.sign(BENCH, &MESSAGE).expect("a signature"), || bare.sign(&MESSAGE)),
        ),
        line(
            "Ed25519: verify 1 KiB, strictly",
            "ed25519-dalek",
            pair(200, verify(suite, &ours), || {
                public.verify_strict(&MESSAGE, &signature).expect("it verifies")
            }),
        ),
    ]
}

fn slh_dsa(suite: &CryptoSuite) -> Vec<Line> {
    use slh_dsa::signature::Verifier as _;
    let ours = key(suite, SignatureAlgorithm::SlhDsaSha2_192f);
    let bare = slh_dsa::SigningKey::<slh_dsa::Sha2_192f>::slh_keygen_internal(&[7; 24], &[7; 24], &[7; 24]);
    let sign = || bare.try_sign_with_context(&MESSAGE, b"", Some(&[1; 24])).expect("a signature");
    let (public, signature) = (AsRef::<slh_dsa::VerifyingKey<_>>::as_ref(&bare), sign());
    vec![
        line(
            "SLH-DSA-SHA2-192f: sign 1 KiB",
            "slh-dsa",
            pair(1, || ours.sign(BENCH, &MESSAGE).expect("a signature"), sign),
        ),
        line(
            "SLH-DSA-SHA2-192f: verify 1 KiB",
            "slh-dsa",
            pair(5, verify(suite, &ours), || public.verify(&MESSAGE, &signature).expect("it verifies")),
        ),
    ]
}

/// Beside its two halves, bare.
fn composite(suite: &CryptoSuite) -> Vec<Line> {
    use ed25519_dalek::Signer as _;
    use libcrux_ml_dsa::ml_dsa_65;
    let ours = key(suite, SignatureAlgorithm::MlDsa65Ed25519);
    let (bare, ed25519) =
        (ml_dsa_65::generate_key_pair([7; 32]), ed25519_dalek::SigningKey::from_bytes(&[7; 32]));
    let mut number = 0_u64;
    let mut sign = || {
        // Other randomness each time, as ours has: how often ML-DSA tries depends on it.
        number += 1;
        let mut randomness = [0; 32];
        randomness[..8].copy_from_slice(&number.to_le_bytes());
        let ml_dsa = ml_dsa_65::sign(&bare.signing_key, &MESSAGE, b"", randomness).expect("a signature");
        (ml_dsa, ed25519.sign(&MESSAGE))
    };
    let (first, second) = sign();
    let public = ed25519.verifying_key();
    vec![
        line(
            "MLDSA65-Ed25519-SHA512: sign 1 KiB",
            "libcrux and ed25519-dalek",
            pair(50, || ours.sign(BENCH, &MESSAGE).expect("a signature"), sign),
        ),
        line(
            "MLDSA65-Ed25519-SHA512: verify 1 KiB",
            "libcrux and ed25519-dalek",
            pair(50, verify(suite, &ours), || {
                ml_dsa_65::verify(&bare.verification_key, &MESSAGE, b"", &first).expect("it verifies");
                public.verify_strict(&MESSAGE, &second).expect("it verifies");
            }),
        ),
    ]
}
