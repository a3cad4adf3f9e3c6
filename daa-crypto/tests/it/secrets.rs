//! What is secret does not show itself.

use daa_crypto::{Context, HkdfSha256, KemAlgorithm, Passphrase, Secret, SignatureAlgorithm, share};

use crate::lenient;

/// Texts that bytes of 0xa7 could appear as.
fn shows(text: &str) -> bool {
    ["a7a7", "A7A7", "167, 167", "0xa7", "hunter2"].iter().any(|form| text.contains(form))
}

#[test]
fn no_secret_is_in_debug() {
    let suite = lenient();
    let mut texts = vec![
        format!("{:?}", Secret::from_bytes([0xa7; 32])),
        format!("{:?}", Passphrase::new("hunter2")),
        format!("{:?}", HkdfSha256::extract(b"", &[0xa7; 32])),
        format!("{:?}", share::split(&[0xa7; 32], 2, 3).expect("shares")),
        format!("{suite:?}"),
    ];
    for &algorithm in SignatureAlgorithm::ALL {
        let key = suite.signing_key_from_seed(algorithm, &vec![0xa7; algorithm.seed_len()]).expect("a key");
        texts.push(format!("{key:?}"));
        assert!(texts.last().expect("a text").starts_with("SigningKey("));
    }
    for &algorithm in KemAlgorithm::ALL {
        let key =
            suite.decapsulation_key_from_seed(algorithm, &vec![0xa7; algorithm.seed_len()]).expect("a key");
        texts.push(format!("{key:?}"));
        let context = Context::new("daa-crypto test");
        texts.push(format!("{:?}", suite.stream_sealer(key.encapsulation_key(), context).expect("a sealer")));
    }
    for text in texts {
        assert!(!shows(&text), "{text}");
    }
}

#[test]
fn secrets_compare_by_value() {
    let one = Secret::from_bytes([1; 32]);
    assert_eq!(one, one.clone());
    for at in 0..32 {
        let mut bytes = [1; 32];
        bytes[at] ^= 0x80;
        assert_ne!(one, Secret::from_bytes(bytes), "byte {at}");
    }
}
