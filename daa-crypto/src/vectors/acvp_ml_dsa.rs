//! NIST ACVP, ML-DSA. Signatures are of the internal interface, which only libcrux has.

use libcrux_ml_dsa::{ml_dsa_44, ml_dsa_65, ml_dsa_87};
use serde::Deserialize;

use super::{Acvp, Hex, load, providers};
use crate::provider::MlDsa;

fn set(name: &str) -> MlDsa {
    match name {
        "ML-DSA-44" => MlDsa::MlDsa44,
        "ML-DSA-65" => MlDsa::MlDsa65,
        "ML-DSA-87" => MlDsa::MlDsa87,
        other => panic!("{other} is no parameter set"),
    }
}

#[test]
fn key_generation() {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Group {
        parameter_set: String,
        tests: Vec<Test>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Test {
        tc_id: u32,
        seed: Hex,
        pk: Hex,
        sk: Hex,
    }
    let mut count = 0;
    for group in load::<Acvp<Group>>("acvp-ml-dsa-key-gen").test_groups {
        for test in &group.tests {
            let seed: [u8; 32] = (*test.seed).try_into().expect("a seed of 32 bytes");
            for provider in providers() {
                let signer = provider.ml_dsa_signer(set(&group.parameter_set), &seed).expect("a key");
                assert_eq!(signer.public_key(), &*test.pk, "{}, test {}", provider.name(), test.tc_id);
            }
            let secret = match set(&group.parameter_set) {
                MlDsa::MlDsa44 => ml_dsa_44::generate_key_pair(seed).signing_key.as_slice().to_vec(),
                MlDsa::MlDsa65 => ml_dsa_65::generate_key_pair(seed).signing_key.as_slice().to_vec(),
                MlDsa::MlDsa87 => ml_dsa_87::generate_key_pair(seed).signing_key.as_slice().to_vec(),
            };
            assert_eq!(secret, *test.sk, "test {}", test.tc_id);
            count += 1;
        }
    }
    assert_eq!(count, 75);
}

#[test]
fn signing() {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Group {
        parameter_set: String,
        deterministic: bool,
        tests: Vec<Test>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Test {
        tc_id: u32,
        sk: Hex,
        message: Hex,
        rnd: Option<Hex>,
        signature: Hex,
    }
    macro_rules! sign {
        ($module:ident, $key:ident, $test:expr, $rnd:expr) => {{
            let key = libcrux_ml_dsa::$module::$key::new((*$test.sk).try_into().expect("a key"));
            $module::sign_internal(&key, &$test.message, $rnd).expect("a signature").as_slice().to_vec()
        }};
    }
    let mut count = 0;
    for group in load::<Acvp<Group>>("acvp-ml-dsa-sig-gen").test_groups {
        for test in &group.tests {
            assert_eq!(test.rnd.is_none(), group.deterministic);
            let rnd = test.rnd.as_ref().map_or([0; 32], |rnd| (**rnd).try_into().expect("32 bytes"));
            let signature = match set(&group.parameter_set) {
                MlDsa::MlDsa44 => sign!(ml_dsa_44, MLDSA44SigningKey, test, rnd),
                MlDsa::MlDsa65 => sign!(ml_dsa_65, MLDSA65SigningKey, test, rnd),
                MlDsa::MlDsa87 => sign!(ml_dsa_87, MLDSA87SigningKey, test, rnd),
            };
            assert_eq!(signature, *test.signature, "test {}", test.tc_id);
            count += 1;
        }
    }
    assert_eq!(count, 60);
}

#[test]
fn verification() {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Group {
        parameter_set: String,
        pk: Hex,
        tests: Vec<Test>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Test {
        tc_id: u32,
        test_passed: bool,
        message: Hex,
        signature: Hex,
        reason: String,
    }
    macro_rules! verify {
        ($module:ident, $key:ident, $signature:ident, $public:expr, $test:expr) => {{
            let key = libcrux_ml_dsa::$module::$key::new((*$public).try_into().expect("a key"));
            (*$test.signature).try_into().is_ok_and(|signature| {
                let signature = $module::$signature::new(signature);
                $module::verify_internal(&key, &$test.message, &signature).is_ok()
            })
        }};
    }
    let mut count = 0;
    for group in load::<Acvp<Group>>("acvp-ml-dsa-sig-ver").test_groups {
        for test in &group.tests {
            let verified = match set(&group.parameter_set) {
                MlDsa::MlDsa44 => {
                    verify!(ml_dsa_44, MLDSA44VerificationKey, MLDSA44Signature, group.pk, test)
                }
                MlDsa::MlDsa65 => {
                    verify!(ml_dsa_65, MLDSA65VerificationKey, MLDSA65Signature, group.pk, test)
                }
                MlDsa::MlDsa87 => {
                    verify!(ml_dsa_87, MLDSA87VerificationKey, MLDSA87Signature, group.pk, test)
                }
            };
            assert_eq!(verified, test.test_passed, "test {}: {}", test.tc_id, test.reason);
            count += 1;
        }
    }
    assert_eq!(count, 45);
}
