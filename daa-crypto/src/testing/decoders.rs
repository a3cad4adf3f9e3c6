//! What each decoder must do with any bytes: refuse them, or take them for a value that is written the same way again. And
//! never panic. The fuzz targets and a test over their corpus call these.

use std::io::Read as _;

use crate::share::{Share, recover};
use crate::{
    Context, CryptoSuite, DecapsulationKey, DecodeError, Digest, KemAlgorithm, KeyFile, Policy,
    SignatureAlgorithm,
};

const FUZZ: Context = Context::new("daa-crypto fuzz");

/// Accepts every algorithm, so that every decoder is reached.
#[must_use]
pub fn lenient_suite() -> CryptoSuite {
    let policy =
        SignatureAlgorithm::ALL.iter().fold(Policy::none(), |policy, &one| policy.with_signature(one));
    CryptoSuite::new().with_policy(KemAlgorithm::ALL.iter().fold(policy, |policy, &one| policy.with_kem(one)))
}

/// The key of the recipient in the corpus. It is no secret.
///
/// # Panics
/// Never with a provider that keeps its contract.
#[must_use]
pub fn recipient() -> DecapsulationKey {
    let key = lenient_suite().decapsulation_key_from_seed(KemAlgorithm::XWing, &[1; 32]);
    key.expect("a seed of 32 bytes")
}

fn canonical(bytes: &[u8], written: Result<Vec<u8>, DecodeError>) {
    if let Ok(written) = written {
        assert_eq!(written, bytes, "what was read is written another way");
    }
}

/// Public keys: what is read also verifies, and encapsulates.
///
/// # Panics
/// When a decoder does not do what it must.
pub fn keys(bytes: &[u8]) {
    let suite = lenient_suite();
    canonical(bytes, suite.decode_verifying_key(bytes).map(|key| key.encode()));
    let key = suite.decode_encapsulation_key(bytes);
    if let Ok(key) = &key {
        suite.encapsulate(key).expect("a key that was read can be encapsulated to");
    }
    canonical(bytes, key.map(|key| key.encode()));
}

/// Signatures.
///
/// # Panics
/// When the decoder does not do what it must.
pub fn signature(bytes: &[u8]) {
    canonical(bytes, lenient_suite().decode_signature(bytes).map(|signature| signature.encode()));
}

/// Ciphertexts of key encapsulation: what is read decapsulates to something.
///
/// # Panics
/// When the decoder does not do what it must.
pub fn kem_ciphertext(bytes: &[u8]) {
    let suite = lenient_suite();
    let ciphertext = suite.decode_kem_ciphertext(bytes);
    if let Ok(ciphertext) = &ciphertext
        && ciphertext.algorithm() == KemAlgorithm::XWing
    {
        suite.decapsulate(&recipient(), ciphertext).expect("any ciphertext gives a secret");
    }
    canonical(bytes, ciphertext.map(|ciphertext| ciphertext.encode()));
}

/// Sealed messages and streams to [`recipient`].
///
/// # Panics
/// Never, unless an opener does.
pub fn sealed(bytes: &[u8]) {
    let (suite, key) = (lenient_suite(), recipient());
    drop(suite.open(&key, FUZZ, b"", bytes));
    if let Ok(mut reader) = suite.open_from(&key, FUZZ, bytes) {
        drop(reader.read_to_end(&mut Vec::new()));
    }
}

/// Key files: structure and bounds, without the passphrase.
///
/// # Panics
/// When the decoder does not do what it must.
pub fn key_file(bytes: &[u8]) {
    canonical(bytes, KeyFile::decode(bytes).map(|file| file.encode()));
}

/// Rotations.
///
/// # Panics
/// When the decoder does not do what it must.
pub fn rotation(bytes: &[u8]) {
    canonical(bytes, lenient_suite().decode_rotation(bytes).map(|rotation| rotation.encode()));
}

/// Shares: what is read can be recovered with, or refused.
///
/// # Panics
/// When the decoder does not do what it must.
pub fn share(bytes: &[u8]) {
    let share = Share::decode(bytes);
    if let Ok(share) = &share {
        assert!(recover(std::slice::from_ref(share)).is_err(), "one share is never enough");
    }
    canonical(bytes, share.map(|share| share.encode().to_vec()));
}

/// Digests.
///
/// # Panics
/// When the decoder does not do what it must.
pub fn digest(bytes: &[u8]) {
    canonical(bytes, Digest::decode(bytes).map(|digest| digest.encode()));
}
