//! What every [`Provider`] and every decoder must do: for the tests of this crate, its fuzz targets, and who brings another
//! provider.

pub mod decoders;

use crate::provider::{Libcrux, MlDsa, MlKem, Provider};

/// Checks the contract of [`Provider`] against [`Libcrux`]: the same keys of the same seeds, signatures that each verifies of
/// the other, secrets on which both agree, and refusal of what is malformed or was changed.
///
/// # Panics
/// When the provider breaks the contract, with what it broke.
pub fn provider_conformance(provider: &dyn Provider) {
    let reference = Libcrux::new();
    for set in MlDsa::ALL {
        signs_and_verifies(provider, &reference, set);
        signs_and_verifies(&reference, provider, set);
    }
    for set in MlKem::ALL {
        encapsulates_and_decapsulates(provider, &reference, set);
        encapsulates_and_decapsulates(&reference, provider, set);
        rejects_implicitly(provider, &reference, set);
        refuses_malformed_kem_input(provider, set);
    }
}

fn signs_and_verifies(ours: &dyn Provider, theirs: &dyn Provider, set: MlDsa) {
    let names = format!("{set:?}, signed by {}, verified by {}", ours.name(), theirs.name());
    let signer = ours.ml_dsa_signer(set, &[7; 32]).expect("a signer");
    let other = theirs.ml_dsa_signer(set, &[7; 32]).expect("a signer");
    assert_eq!(signer.public_key(), other.public_key(), "{names}: one seed, one key");
    assert_eq!(signer.public_key().len(), set.public_key_len(), "{names}: length of a public key");
    let verifier = theirs.ml_dsa_verifier(set, signer.public_key()).expect("a verifier");
    for len in [0, 1, 200, 70_000] {
        let message = vec![0x5a; len];
        let signature = signer.sign(&message).expect("a signature");
        assert_eq!(signature.len(), set.signature_len(), "{names}: length of a signature");
        assert!(verifier.verify(&message, &signature), "{names}: {len} bytes");
        assert!(
            !verifier.verify(&[message.as_slice(), b"x"].concat(), &signature),
            "{names}: a longer message"
        );
        assert!(!verifier.verify(&message, &[]), "{names}: an empty signature");
        assert!(!verifier.verify(&message, &[signature.as_slice(), b"x"].concat()), "{names}: a longer one");
        let shorter = signature.split_last().map(|(_, rest)| rest).unwrap_or_default();
        assert!(!verifier.verify(&message, shorter), "{names}: a shorter signature");
        let changed: Vec<u8> = signature.iter().map(|byte| byte ^ 1).collect();
        assert!(!verifier.verify(&message, &changed), "{names}: a changed signature");
    }
    assert!(theirs.ml_dsa_verifier(set, &[]).is_err(), "{names}: an empty public key");
    let longer = [signer.public_key(), b"x"].concat();
    assert!(theirs.ml_dsa_verifier(set, &longer).is_err(), "{names}: a longer public key");
}

fn encapsulates_and_decapsulates(ours: &dyn Provider, theirs: &dyn Provider, set: MlKem) {
    let names = format!("{set:?}, encapsulated by {}, decapsulated by {}", ours.name(), theirs.name());
    let key = theirs.ml_kem_decapsulator(set, &[9; 64]).expect("a key");
    let same = ours.ml_kem_decapsulator(set, &[9; 64]).expect("a key");
    assert_eq!(key.public_key(), same.public_key(), "{names}: one seed, one key");
    assert_eq!(key.public_key().len(), set.public_key_len(), "{names}: length of a public key");
    let encapsulator = ours.ml_kem_encapsulator(set, key.public_key()).expect("an encapsulator");
    let (ciphertext, secret) = encapsulator.encapsulate().expect("a secret");
    assert_eq!(ciphertext.len(), set.ciphertext_len(), "{names}: length of a ciphertext");
    assert_eq!(key.decapsulate(&ciphertext).expect("a secret"), secret, "{names}: one secret");
    let (another, other_secret) = encapsulator.encapsulate().expect("a secret");
    assert_ne!((another, other_secret), (ciphertext, secret), "{names}: a fresh secret each time");
}

/// FIPS 203, algorithm 18: of a changed ciphertext comes a secret that depends on the key and on it, and no error.
fn rejects_implicitly(ours: &dyn Provider, theirs: &dyn Provider, set: MlKem) {
    let ours = ours.ml_kem_decapsulator(set, &[3; 64]).expect("a key");
    let theirs = theirs.ml_kem_decapsulator(set, &[3; 64]).expect("a key");
    let ciphertext = vec![0xa5; set.ciphertext_len()];
    let secret = ours.decapsulate(&ciphertext).expect("a secret");
    assert_eq!(secret, theirs.decapsulate(&ciphertext).expect("a secret"), "{set:?}: one secret for garbage");
    let mut changed = ciphertext;
    changed.reverse();
    changed.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    assert_ne!(
        secret,
        ours.decapsulate(&changed).expect("a secret"),
        "{set:?}: another one for other garbage"
    );
}

fn refuses_malformed_kem_input(provider: &dyn Provider, set: MlKem) {
    let key = provider.ml_kem_decapsulator(set, &[1; 64]).expect("a key");
    let len = set.ciphertext_len();
    for wrong in [0, len - 1, len + 1] {
        assert!(key.decapsulate(&vec![0; wrong]).is_err(), "{set:?}: a ciphertext of {wrong} bytes");
    }
    let len = set.public_key_len();
    for wrong in [0, len - 1, len + 1] {
        assert!(
            provider.ml_kem_encapsulator(set, &vec![0; wrong]).is_err(),
            "{set:?}: a key of {wrong} bytes"
        );
    }
    // Coefficients of 4095 are not below 3329.
    let unreduced = vec![0xff; len];
    assert!(provider.ml_kem_encapsulator(set, &unreduced).is_err(), "{set:?}: a key that is not reduced");
}
