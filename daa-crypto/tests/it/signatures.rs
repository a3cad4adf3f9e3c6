//! Signing and verifying, with each algorithm.

use daa_crypto::{Context, Signature, SignatureAlgorithm, VerifyError};
use proptest::prelude::*;

use crate::{lenient, seed};

const ONE: Context = Context::new("daa-crypto test one");
const OTHER: Context = Context::new("daa-crypto test other");

#[test]
fn what_is_signed_verifies_with_its_key_context_and_message_only() {
    let suite = lenient();
    for &algorithm in SignatureAlgorithm::ALL {
        let key = suite.signing_key_from_seed(algorithm, &seed(algorithm.seed_len())).expect("a key");
        let stranger = suite.signing_key_from_seed(algorithm, &vec![9; algorithm.seed_len()]).expect("a key");
        let (public, stranger) = (key.verifying_key(), stranger.verifying_key());
        let signature = key.sign(ONE, b"message").expect("a signature");
        assert_eq!(signature.as_raw().len(), algorithm.signature_len(), "{algorithm}");
        assert_eq!(public.as_raw().len(), algorithm.public_key_len(), "{algorithm}");
        assert_eq!(suite.verify(public, ONE, b"message", &signature), Ok(()), "{algorithm}");
        let invalid = Err(VerifyError::Invalid);
        assert_eq!(suite.verify(public, OTHER, b"message", &signature), invalid, "{algorithm}: context");
        assert_eq!(suite.verify(public, ONE, b"massage", &signature), invalid, "{algorithm}: message");
        assert_eq!(suite.verify(public, ONE, b"", &signature), invalid, "{algorithm}: empty message");
        assert_eq!(suite.verify(stranger, ONE, b"message", &signature), invalid, "{algorithm}: key");
    }
}

#[test]
fn a_signature_of_another_algorithm_is_told_apart() {
    let suite = lenient();
    let key = suite.signing_key_from_seed(SignatureAlgorithm::MlDsa65, &seed(32)).expect("a key");
    let other = suite.signing_key_from_seed(SignatureAlgorithm::Ed25519, &seed(32)).expect("a key");
    let signature = other.sign(ONE, b"message").expect("a signature");
    assert_eq!(
        suite.verify(key.verifying_key(), ONE, b"message", &signature),
        Err(VerifyError::OtherAlgorithm {
            key: SignatureAlgorithm::MlDsa65,
            signature: SignatureAlgorithm::Ed25519
        })
    );
}

/// Each half of a composite is checked: a valid half of one signature does not stand for both.
#[test]
fn both_halves_of_a_composite_must_verify() {
    let suite = lenient();
    for (algorithm, ml_dsa_len) in
        [(SignatureAlgorithm::MlDsa44Ed25519, 2420), (SignatureAlgorithm::MlDsa65Ed25519, 3309)]
    {
        let key = suite.signing_key_from_seed(algorithm, &seed(64)).expect("a key");
        let public = key.verifying_key();
        let right = key.sign(ONE, b"right").expect("a signature");
        let wrong = key.sign(ONE, b"wrong").expect("a signature");
        let mix = |ml_dsa: &Signature, ed25519: &Signature| {
            let bytes = [&ml_dsa.as_raw()[..ml_dsa_len], &ed25519.as_raw()[ml_dsa_len..]].concat();
            Signature::from_raw(algorithm, &bytes).expect("of the right length")
        };
        assert_eq!(suite.verify(public, ONE, b"right", &mix(&right, &right)), Ok(()));
        for mixed in [mix(&wrong, &right), mix(&right, &wrong)] {
            assert_eq!(suite.verify(public, ONE, b"right", &mixed), Err(VerifyError::Invalid), "{algorithm}");
        }
    }
}

/// The half of a composite is no signature by itself, nor is a signature the half of one.
#[test]
fn halves_of_composites_do_not_verify_alone() {
    let suite = lenient();
    let (ml_dsa, ed25519) = (&seed(64)[..32], &seed(64)[32..]);
    let composite =
        suite.signing_key_from_seed(SignatureAlgorithm::MlDsa65Ed25519, &seed(64)).expect("a key");
    let signature = composite.sign(ONE, b"message").expect("a signature");
    let halves = [
        (SignatureAlgorithm::MlDsa65, ml_dsa, &signature.as_raw()[..3309]),
        (SignatureAlgorithm::Ed25519, ed25519, &signature.as_raw()[3309..]),
    ];
    for (algorithm, seed, half) in halves {
        let alone = suite.signing_key_from_seed(algorithm, seed).expect("a key");
        let half = Signature::from_raw(algorithm, half).expect("of the right length");
        assert_eq!(suite.verify(alone.verifying_key(), ONE, b"message", &half), Err(VerifyError::Invalid));
    }
}

#[test]
fn a_changed_byte_anywhere_in_a_signature_is_refused() {
    let suite = lenient();
    for &algorithm in SignatureAlgorithm::ALL {
        let key = suite.signing_key_from_seed(algorithm, &seed(algorithm.seed_len())).expect("a key");
        let signature = key.sign(ONE, b"message").expect("a signature");
        // Each byte of the short ones, and a spread of the long ones.
        let step = (algorithm.signature_len() / 400).max(1);
        for at in (0..algorithm.signature_len()).step_by(step) {
            let mut bytes = signature.as_raw().to_vec();
            bytes[at] ^= 1 << (at % 8);
            let changed = Signature::from_raw(algorithm, &bytes).expect("of the right length");
            let found = suite.verify(key.verifying_key(), ONE, b"message", &changed);
            assert_eq!(found, Err(VerifyError::Invalid), "{algorithm}, byte {at}");
        }
    }
}

#[test]
fn one_seed_gives_one_key_with_randomness_of_the_callers() {
    use rand::SeedableRng as _;
    let suite = lenient();
    for &algorithm in SignatureAlgorithm::ALL {
        let key = |number| {
            let mut rng = rand::rngs::StdRng::seed_from_u64(number);
            let key = suite.generate_signing_key_with(algorithm, &mut rng).expect("a key");
            key.verifying_key().clone()
        };
        assert_eq!(key(1), key(1), "{algorithm}");
        assert_ne!(key(1), key(2), "{algorithm}");
        assert_ne!(key(1).id(), key(2).id(), "{algorithm}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_message_verifies_and_no_other_does(
        message in prop::collection::vec(any::<u8>(), 0..500),
        other in prop::collection::vec(any::<u8>(), 0..500),
        which in 0..4_usize,
    ) {
        use SignatureAlgorithm as A;
        let suite = lenient();
        let algorithm = [A::MlDsa44, A::MlDsa65, A::Ed25519, A::MlDsa65Ed25519][which];
        let key = suite.signing_key_from_seed(algorithm, &seed(algorithm.seed_len())).expect("a key");
        let signature = key.sign(ONE, &message).expect("a signature");
        prop_assert_eq!(suite.verify(key.verifying_key(), ONE, &message, &signature), Ok(()));
        if other != message {
            prop_assert_eq!(
                suite.verify(key.verifying_key(), ONE, &other, &signature),
                Err(VerifyError::Invalid)
            );
        }
    }
}
