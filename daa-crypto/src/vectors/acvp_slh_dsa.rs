//! NIST ACVP, SLH-DSA with SHA-2 of category 3, internal interface.

use serde::Deserialize;
use slh_dsa::{Sha2_192f, Sha2_192s, Signature, SigningKey, VerifyingKey};

use super::{Acvp, Hex, load};
use crate::{CryptoSuite, SignatureAlgorithm};

#[test]
fn key_generation() {
    #[derive(Deserialize)]
    struct Group {
        tests: Vec<Test>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Test {
        tc_id: u32,
        sk_seed: Hex,
        sk_prf: Hex,
        pk_seed: Hex,
        sk: Hex,
        pk: Hex,
    }
    let suite = CryptoSuite::new();
    let mut count = 0;
    for group in load::<Acvp<Group>>("acvp-slh-dsa-key-gen").test_groups {
        for test in &group.tests {
            let seed = [&*test.sk_seed, &*test.sk_prf, &*test.pk_seed].concat();
            let key = suite.signing_key_from_seed(SignatureAlgorithm::SlhDsaSha2_192f, &seed).expect("a key");
            assert_eq!(key.verifying_key().as_raw(), &*test.pk, "test {}", test.tc_id);
            let key =
                SigningKey::<Sha2_192f>::slh_keygen_internal(&test.sk_seed, &test.sk_prf, &test.pk_seed);
            assert_eq!(key.to_bytes().as_slice(), &*test.sk, "test {}", test.tc_id);
            count += 1;
        }
    }
    assert_eq!(count, 10);
}

#[test]
fn signing() {
    #[derive(Deserialize)]
    struct Group {
        tests: Vec<Test>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Test {
        tc_id: u32,
        sk: Hex,
        additional_randomness: Option<Hex>,
        message: Hex,
        signature: Hex,
    }
    let mut count = 0;
    for group in load::<Acvp<Group>>("acvp-slh-dsa-sig-gen").test_groups {
        for test in &group.tests {
            let key = SigningKey::<Sha2_192s>::try_from(&*test.sk).expect("a key");
            let signature = key.slh_sign_internal(&[&test.message], test.additional_randomness.as_deref());
            assert_eq!(signature.to_bytes().as_slice(), &*test.signature, "test {}", test.tc_id);
            count += 1;
        }
    }
    assert_eq!(count, 14);
}

#[test]
fn verification() {
    #[derive(Deserialize)]
    struct Group {
        tests: Vec<Test>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Test {
        tc_id: u32,
        test_passed: bool,
        pk: Hex,
        message: Hex,
        signature: Hex,
        reason: String,
    }
    let mut count = 0;
    for group in load::<Acvp<Group>>("acvp-slh-dsa-sig-ver").test_groups {
        for test in &group.tests {
            let key = VerifyingKey::<Sha2_192s>::try_from(&*test.pk).expect("a key");
            let verified = Signature::<Sha2_192s>::try_from(&*test.signature)
                .is_ok_and(|signature| key.slh_verify_internal(&[&test.message], &signature).is_ok());
            assert_eq!(verified, test.test_passed, "test {}: {}", test.tc_id, test.reason);
            count += 1;
        }
    }
    assert_eq!(count, 9);
}
