//! Sealed messages, and the encapsulation under them.

use daa_crypto::{Context, KemAlgorithm, KemError, MAX_MESSAGE, OpenError, SealError};
use proptest::prelude::*;

use crate::{lenient, seed};

const ONE: Context = Context::new("daa-crypto test one");
const OTHER: Context = Context::new("daa-crypto test other");

#[test]
fn both_sides_have_one_secret() {
    let suite = lenient();
    for &algorithm in KemAlgorithm::ALL {
        let key = suite.decapsulation_key_from_seed(algorithm, &seed(algorithm.seed_len())).expect("a key");
        let (ciphertext, secret) = suite.encapsulate(key.encapsulation_key()).expect("a secret");
        assert_eq!(key.encapsulation_key().as_raw().len(), algorithm.public_key_len(), "{algorithm}");
        assert_eq!(ciphertext.as_raw().len(), algorithm.ciphertext_len(), "{algorithm}");
        assert_eq!(suite.decapsulate(&key, &ciphertext), Ok(secret.clone()), "{algorithm}");
        let (_, another) = suite.encapsulate(key.encapsulation_key()).expect("a secret");
        assert_ne!(another, secret, "{algorithm}: fresh each time");
    }
}

#[test]
fn a_ciphertext_of_another_algorithm_is_told_apart() {
    let suite = lenient();
    let key = suite.decapsulation_key_from_seed(KemAlgorithm::XWing, &seed(32)).expect("a key");
    let other = suite.decapsulation_key_from_seed(KemAlgorithm::MlKem768, &seed(64)).expect("a key");
    let (ciphertext, _) = suite.encapsulate(other.encapsulation_key()).expect("a secret");
    let expected = KemError::OtherAlgorithm { key: KemAlgorithm::XWing, ciphertext: KemAlgorithm::MlKem768 };
    assert_eq!(suite.decapsulate(&key, &ciphertext), Err(expected));
}

#[test]
fn only_the_recipient_opens_with_the_same_context_and_associated_data() {
    let suite = lenient();
    for &algorithm in KemAlgorithm::ALL {
        let key = suite.decapsulation_key_from_seed(algorithm, &seed(algorithm.seed_len())).expect("a key");
        let stranger =
            suite.decapsulation_key_from_seed(algorithm, &vec![9; algorithm.seed_len()]).expect("a key");
        let sealed = suite.seal(key.encapsulation_key(), ONE, b"associated", b"message").expect("sealed");
        assert_eq!(suite.open(&key, ONE, b"associated", &sealed).expect("opened"), b"message");
        assert_eq!(
            suite.open(&stranger, ONE, b"associated", &sealed),
            Err(OpenError::Rejected),
            "{algorithm}"
        );
        assert_eq!(suite.open(&key, OTHER, b"associated", &sealed), Err(OpenError::Rejected), "{algorithm}");
        assert_eq!(suite.open(&key, ONE, b"", &sealed), Err(OpenError::Rejected), "{algorithm}");
    }
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let suite = lenient();
    let key = suite.decapsulation_key_from_seed(KemAlgorithm::XWing, &seed(32)).expect("a key");
    let sealed = suite.seal(key.encapsulation_key(), ONE, b"", b"message").expect("sealed");
    for at in 0..sealed.len() {
        for bit in [0x01, 0x80] {
            let mut changed = sealed.clone();
            changed[at] ^= bit;
            assert!(suite.open(&key, ONE, b"", &changed).is_err(), "byte {at}");
        }
    }
    for len in 0..sealed.len() {
        assert!(suite.open(&key, ONE, b"", &sealed[..len]).is_err(), "cut to {len} bytes");
    }
    assert!(suite.open(&key, ONE, b"", &[sealed, vec![0]].concat()).is_err(), "a byte more");
}

#[test]
fn what_is_too_long_for_one_message_is_refused() {
    let suite = lenient();
    let key = suite.decapsulation_key_from_seed(KemAlgorithm::XWing, &seed(32)).expect("a key");
    let found = suite.seal(key.encapsulation_key(), ONE, b"", &vec![0; MAX_MESSAGE + 1]);
    assert_eq!(found, Err(SealError::TooLong { max: MAX_MESSAGE, found: MAX_MESSAGE + 1 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_message_comes_back(
        message in prop::collection::vec(any::<u8>(), 0..2000),
        associated in prop::collection::vec(any::<u8>(), 0..100),
        which in 0..KemAlgorithm::ALL.len(),
    ) {
        let suite = lenient();
        let algorithm = KemAlgorithm::ALL[which];
        let key = suite.decapsulation_key_from_seed(algorithm, &seed(algorithm.seed_len())).expect("a key");
        let sealed = suite.seal(key.encapsulation_key(), ONE, &associated, &message).expect("sealed");
        prop_assert_eq!(suite.open(&key, ONE, &associated, &sealed), Ok(message));
    }
}
