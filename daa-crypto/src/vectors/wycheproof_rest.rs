//! Wycheproof: Ed25519, X25519, ChaCha20-Poly1305, HKDF-SHA-256.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce};
use wycheproof::{TestResult, aead, eddsa, hkdf, xdh};

use crate::HkdfSha256;

#[test]
fn ed25519() {
    let tests = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("vectors");
    let mut count = 0;
    for group in &tests.test_groups {
        for test in &group.tests {
            let found = crate::scheme::ed25519_verifies(&group.key.pk, &test.msg, &test.sig);
            assert_eq!(found, test.result == TestResult::Valid, "test {}: {}", test.tc_id, test.comment);
            count += 1;
        }
    }
    assert_eq!(count, 151);
}

/// Of the curve under X-Wing. Points of small order are accepted, as its draft says.
#[test]
fn x25519() {
    let tests = xdh::TestSet::load(xdh::TestName::X25519).expect("vectors");
    let mut count = 0;
    for group in &tests.test_groups {
        for test in &group.tests {
            assert!(!test.result.must_fail());
            let private: [u8; 32] = test.private_key.as_slice().try_into().expect("32 bytes");
            let public: [u8; 32] = test.public_key.as_slice().try_into().expect("32 bytes");
            let shared = x25519_dalek::StaticSecret::from(private).diffie_hellman(&public.into());
            assert_eq!(
                shared.as_bytes(),
                test.shared_secret.as_slice(),
                "test {}: {}",
                test.tc_id,
                test.comment
            );
            count += 1;
        }
    }
    assert_eq!(count, 518);
}

#[test]
fn chacha20_poly1305() {
    let tests = aead::TestSet::load(aead::TestName::ChaCha20Poly1305).expect("vectors");
    let mut count = 0;
    for group in &tests.test_groups {
        for test in &group.tests {
            let note = format!("test {}: {}", test.tc_id, test.comment);
            let cipher = ChaCha20Poly1305::new_from_slice(&test.key).expect("a key");
            let nonce = <[u8; 12]>::try_from(test.nonce.as_slice()).ok().map(Nonce::from);
            let sealed = [test.ct.as_slice(), test.tag.as_slice()].concat();
            let opened =
                nonce.and_then(|nonce| cipher.decrypt(&nonce, Payload { msg: &sealed, aad: &test.aad }).ok());
            let valid = test.result == TestResult::Valid;
            assert_eq!(opened.as_deref(), valid.then_some(test.pt.as_slice()), "{note}");
            if let (true, Some(nonce)) = (valid, nonce) {
                let found = cipher.encrypt(&nonce, Payload { msg: &test.pt, aad: &test.aad });
                assert_eq!(found.expect("a ciphertext"), sealed, "{note}");
            }
            count += 1;
        }
    }
    assert_eq!(count, 325);
}

#[test]
fn hkdf_sha256() {
    let tests = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).expect("vectors");
    let mut count = 0;
    for group in &tests.test_groups {
        for test in &group.tests {
            let mut output = vec![0; test.size];
            let made = HkdfSha256::extract(&test.salt, &test.ikm).expand(&test.info, &mut output);
            let found = made.is_ok().then_some(output.as_slice());
            let valid = (test.result == TestResult::Valid).then_some(test.okm.as_slice());
            assert_eq!(found, valid, "test {}: {}", test.tc_id, test.comment);
            count += 1;
        }
    }
    assert_eq!(count, 86);
}
