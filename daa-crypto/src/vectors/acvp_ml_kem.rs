//! NIST ACVP, ML-KEM.

use libcrux_ml_kem::{mlkem768, mlkem1024};
use serde::Deserialize;

use super::{Acvp, Hex, load, providers};
use crate::provider::MlKem;

fn set(name: &str) -> MlKem {
    match name {
        "ML-KEM-768" => MlKem::MlKem768,
        "ML-KEM-1024" => MlKem::MlKem1024,
        other => panic!("{other} is not offered"),
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
        d: Hex,
        z: Hex,
        ek: Hex,
        dk: Hex,
    }
    let mut count = 0;
    for group in load::<Acvp<Group>>("acvp-ml-kem-key-gen").test_groups {
        for test in &group.tests {
            let seed: [u8; 64] = [&*test.d, &*test.z].concat().try_into().expect("a seed of 64 bytes");
            for provider in providers() {
                let key = provider.ml_kem_decapsulator(set(&group.parameter_set), &seed).expect("a key");
                assert_eq!(key.public_key(), &*test.ek, "{}, test {}", provider.name(), test.tc_id);
            }
            let expanded = match set(&group.parameter_set) {
                MlKem::MlKem768 => mlkem768::generate_key_pair(seed).sk().to_vec(),
                MlKem::MlKem1024 => mlkem1024::generate_key_pair(seed).sk().to_vec(),
            };
            assert_eq!(expanded, *test.dk, "test {}", test.tc_id);
            count += 1;
        }
    }
    assert_eq!(count, 50);
}

#[test]
fn encapsulation_and_decapsulation() {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Group {
        parameter_set: String,
        function: String,
        ek: Option<Hex>,
        dk: Option<Hex>,
        tests: Vec<Test>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Test {
        tc_id: u32,
        ek: Option<Hex>,
        dk: Option<Hex>,
        c: Hex,
        k: Hex,
        m: Option<Hex>,
        reason: String,
    }
    macro_rules! check {
        ($module:ident, $private:ident, $public:ident, $ciphertext:ident, $group:expr, $test:expr) => {{
            let note = format!("test {}: {}", $test.tc_id, $test.reason);
            if let Some(m) = &$test.m {
                let ek = $test.ek.as_deref().expect("a public key");
                let key = $module::$public::try_from(ek).expect("a public key");
                let (ciphertext, secret) = $module::encapsulate(&key, (**m).try_into().expect("32 bytes"));
                assert_eq!(
                    (ciphertext.as_slice().as_slice(), secret.as_slice()),
                    (&*$test.c, &*$test.k),
                    "{note}"
                );
            }
            let dk = $test.dk.as_deref().or($group.dk.as_deref()).expect("a private key");
            let key = $module::$private::try_from(dk).expect("a private key");
            let ciphertext = $module::$ciphertext::try_from(&*$test.c).expect("a ciphertext");
            assert_eq!($module::decapsulate(&key, &ciphertext).as_slice(), &*$test.k, "{note}");
        }};
    }
    let mut count = 0;
    for group in load::<Acvp<Group>>("acvp-ml-kem-encap-decap").test_groups {
        assert_eq!(group.function == "decapsulation", group.ek.is_some());
        for test in &group.tests {
            match set(&group.parameter_set) {
                MlKem::MlKem768 => {
                    check!(mlkem768, MlKem768PrivateKey, MlKem768PublicKey, MlKem768Ciphertext, group, test)
                }
                MlKem::MlKem1024 => {
                    check!(
                        mlkem1024,
                        MlKem1024PrivateKey,
                        MlKem1024PublicKey,
                        MlKem1024Ciphertext,
                        group,
                        test
                    )
                }
            }
            #[cfg(feature = "aws-lc")]
            aws_lc_decapsulates(set(&group.parameter_set), &group.dk, test.dk.as_deref(), &test.c, &test.k);
            count += 1;
        }
    }
    assert_eq!(count, 70);
}

/// AWS-LC takes the expanded keys of these vectors directly.
#[cfg(feature = "aws-lc")]
fn aws_lc_decapsulates(
    set: MlKem,
    of_group: &Option<Hex>,
    own: Option<&[u8]>,
    ciphertext: &[u8],
    secret: &[u8],
) {
    use aws_lc_rs::kem::{DecapsulationKey, ML_KEM_768, ML_KEM_1024};
    static KEM_768: aws_lc_rs::kem::Algorithm = ML_KEM_768;
    static KEM_1024: aws_lc_rs::kem::Algorithm = ML_KEM_1024;
    let expanded = own.or(of_group.as_deref()).expect("a private key");
    let algorithm = if set == MlKem::MlKem768 { &KEM_768 } else { &KEM_1024 };
    let key = DecapsulationKey::new(algorithm, expanded).expect("a private key");
    assert_eq!(key.decapsulate(ciphertext.into()).expect("a secret").as_ref(), secret);
}
