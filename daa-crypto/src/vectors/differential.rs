//! The providers against a third implementation, RustCrypto's, on inputs that no standard chose.

use ml_dsa::signature::{Keypair as _, Signer as _, Verifier as _};
use ml_kem::kem::{Decapsulate as _, KeyExport as _, KeyInit as _, TryKeyInit as _};
use proptest::prelude::*;

use super::providers;
use crate::provider::{MlDsa, MlKem, Provider as _};

macro_rules! ml_dsa_differential {
    ($name:ident, $set:expr, $params:ident) => {
        #[test]
        fn $name() {
            let runner = ProptestConfig::with_cases(12);
            proptest!(runner, |(seed: [u8; 32], message in prop::collection::vec(any::<u8>(), 0..300), at: u16)| {
                let oracle = ml_dsa::SigningKey::<ml_dsa::$params>::from_seed(&seed.into());
                let oracle_public = oracle.verifying_key();
                let by_oracle = oracle.sign(&message).encode();
                for provider in providers() {
                    let signer = provider.ml_dsa_signer($set, &seed).expect("a key");
                    prop_assert!(signer.public_key() == oracle_public.encode().as_slice());
                    let verifier = provider.ml_dsa_verifier($set, signer.public_key()).expect("a key");
                    prop_assert!(verifier.verify(&message, &by_oracle), "{} verifies the oracle's", provider.name());

                    let ours = signer.sign(&message).expect("a signature");
                    let oracles = |signature: &[u8]| {
                        let signature = ml_dsa::Signature::<ml_dsa::$params>::try_from(signature);
                        signature.is_ok_and(|signature| oracle_public.verify(&message, &signature).is_ok())
                    };
                    prop_assert!(oracles(&ours), "the oracle verifies that of {}", provider.name());

                    // One changed byte: all agree, whatever they say.
                    let mut changed = ours;
                    let at = usize::from(at) % changed.len();
                    changed[at] ^= 0x10;
                    prop_assert_eq!(verifier.verify(&message, &changed), oracles(&changed));
                }
            });
        }
    };
}

ml_dsa_differential!(ml_dsa_44, MlDsa::MlDsa44, MlDsa44);
ml_dsa_differential!(ml_dsa_65, MlDsa::MlDsa65, MlDsa65);
ml_dsa_differential!(ml_dsa_87, MlDsa::MlDsa87, MlDsa87);

macro_rules! ml_kem_differential {
    ($name:ident, $set:expr, $module:ident) => {
        #[test]
        fn $name() {
            let runner = ProptestConfig::with_cases(24);
            proptest!(runner, |(seed in prop::array::uniform32(any::<[u8; 2]>()), m: [u8; 32], at: u16)| {
                let seed: [u8; 64] = seed.concat().try_into().expect("64 bytes");
                let oracle = ml_kem::$module::DecapsulationKey::new(&seed.into());
                let oracle_public = oracle.encapsulation_key();
                for provider in providers() {
                    let key = provider.ml_kem_decapsulator($set, &seed).expect("a key");
                    prop_assert!(key.public_key() == oracle_public.to_bytes().as_slice());

                    let (ciphertext, secret) = oracle_public.encapsulate_deterministic(&m.into());
                    let ours = key.decapsulate(&ciphertext).expect("a secret");
                    prop_assert_eq!(ours.as_bytes(), secret.as_slice(), "{} on the oracle's", provider.name());

                    let public = provider.ml_kem_encapsulator($set, key.public_key()).expect("a key");
                    let (mut ciphertext, secret) = public.encapsulate().expect("a secret");
                    let oracles = |ciphertext: &[u8]| oracle.decapsulate(&ciphertext.try_into().expect("a ciphertext"));
                    prop_assert!(secret.as_bytes() == oracles(&ciphertext).as_slice());

                    // One changed byte: implicit rejection gives all the same secret.
                    let at = usize::from(at) % ciphertext.len();
                    ciphertext[at] ^= 0x10;
                    let rejected = key.decapsulate(&ciphertext).expect("a secret");
                    prop_assert!(rejected.as_bytes() == oracles(&ciphertext).as_slice());
                    prop_assert_ne!(rejected, secret);
                }
            });
        }
    };
}

ml_kem_differential!(ml_kem_768, MlKem::MlKem768, ml_kem_768);
ml_kem_differential!(ml_kem_1024, MlKem::MlKem1024, ml_kem_1024);

/// Any bytes as a public key: the oracle and ours agree on which are reduced.
#[test]
fn reduced_public_keys() {
    let runner = ProptestConfig::with_cases(64);
    proptest!(runner, |(seed in prop::array::uniform32(any::<[u8; 2]>()), at in 0..1152_usize, byte: u8)| {
        let seed: [u8; 64] = seed.concat().try_into().expect("64 bytes");
        let key = crate::provider::Libcrux::new().ml_kem_decapsulator(MlKem::MlKem768, &seed).expect("a key");
        let mut bytes = key.public_key().to_vec();
        bytes[at] = byte;
        let oracle = ml_kem::ml_kem_768::EncapsulationKey::new_from_slice(&bytes).is_ok();
        for provider in providers() {
            prop_assert_eq!(provider.ml_kem_encapsulator(MlKem::MlKem768, &bytes).is_ok(), oracle);
        }
    });
}
