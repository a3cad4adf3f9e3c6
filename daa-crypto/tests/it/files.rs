//! Key files: locked, unlocked, written, read.

use std::fs;

use daa_crypto::{
    Argon2Params, CryptoSuite, DecapsulationKey, DecodeError, KemAlgorithm, KeyFile, KeyFileError,
    Passphrase, SignatureAlgorithm, SigningKey,
};

use crate::{lenient, seed};

fn signing_key(suite: &CryptoSuite) -> SigningKey {
    suite.signing_key_from_seed(SignatureAlgorithm::MlDsa65, &seed(32)).expect("a key")
}

fn locked(suite: &CryptoSuite) -> KeyFile {
    KeyFile::lock(&signing_key(suite), &Passphrase::new("right"), Argon2Params::weakest()).expect("locked")
}

#[test]
fn keys_of_each_algorithm_come_back() {
    let suite = lenient();
    let passphrase = Passphrase::new("right");
    for &algorithm in SignatureAlgorithm::ALL {
        let key = suite.signing_key_from_seed(algorithm, &seed(algorithm.seed_len())).expect("a key");
        let file = KeyFile::lock(&key, &passphrase, Argon2Params::weakest()).expect("locked");
        let file = KeyFile::decode(&file.encode()).expect("a key file");
        assert_eq!(file.public_encoding(), key.verifying_key().encode());
        let again: SigningKey = file.unlock(&suite, &passphrase).expect("unlocked");
        assert_eq!(again.verifying_key(), key.verifying_key(), "{algorithm}");
    }
    for &algorithm in KemAlgorithm::ALL {
        let key = suite.decapsulation_key_from_seed(algorithm, &seed(algorithm.seed_len())).expect("a key");
        let file = KeyFile::lock(&key, &passphrase, Argon2Params::weakest()).expect("locked");
        let file = KeyFile::decode(&file.encode()).expect("a key file");
        let again: DecapsulationKey = file.unlock(&suite, &passphrase).expect("unlocked");
        let (ciphertext, secret) = suite.encapsulate(key.encapsulation_key()).expect("a secret");
        assert_eq!(suite.decapsulate(&again, &ciphertext), Ok(secret), "{algorithm}");
    }
}

#[test]
fn another_passphrase_or_kind_does_not_unlock() {
    let suite = lenient();
    let file = locked(&suite);
    for wrong in ["wrong", "", "right "] {
        let found = file.unlock::<SigningKey>(&suite, &Passphrase::new(wrong));
        assert!(matches!(found, Err(KeyFileError::Rejected)), "{wrong:?}");
    }
    let found = file.unlock::<DecapsulationKey>(&suite, &Passphrase::new("right"));
    assert!(matches!(found, Err(KeyFileError::OtherKind { algorithm: 0x0102 })));
}

/// Two files of one key differ: a fresh salt for each.
#[test]
fn each_file_has_a_salt_of_its_own() {
    let suite = lenient();
    assert_ne!(locked(&suite).encode(), locked(&suite).encode());
}

/// The header is authenticated: whatever byte of it is changed, the key does not come out, and the public half cannot be
/// exchanged. Only some bytes are tried, because each takes an Argon2.
#[test]
fn a_changed_byte_is_refused() {
    let suite = lenient();
    let encoded = locked(&suite).encode();
    let salt = 4 + 2 + 12 + 2;
    let public = salt + 16 + 4;
    let tried = [17, salt, salt + 15, public + 8, public + 1000, encoded.len() - 49, encoded.len() - 1];
    for at in tried {
        let mut changed = encoded.clone();
        changed[at] ^= 1;
        let found = KeyFile::decode(&changed)
            .map_err(KeyFileError::from)
            .and_then(|file| file.unlock::<SigningKey>(&suite, &Passphrase::new("right")));
        assert!(found.is_err(), "byte {at}");
    }
}

#[test]
fn costs_are_bounded() {
    let bounds = [
        (19_455, 2, 1, "Argon2 memory in KiB"),
        (1_048_577, 2, 1, "Argon2 memory in KiB"),
        (19_456, 1, 1, "Argon2 passes"),
        (19_456, 17, 1, "Argon2 passes"),
        (19_456, 2, 0, "Argon2 lanes"),
        (19_456, 2, 17, "Argon2 lanes"),
    ];
    let encoded = locked(&lenient()).encode();
    for (memory, passes, lanes, wrong) in bounds {
        let expected = |found: Result<(), DecodeError>| matches!(found, Err(DecodeError::OutOfBounds { field, .. }) if field == wrong);
        let refused = Argon2Params::new(memory, passes, lanes).map(drop).map_err(DecodeError::from);
        assert!(expected(refused), "{memory} {passes} {lanes}");
        let mut hostile = encoded.clone();
        for (place, number) in [memory, passes, lanes].into_iter().enumerate() {
            hostile[6 + 4 * place..10 + 4 * place].copy_from_slice(&u32::to_be_bytes(number));
        }
        assert!(expected(KeyFile::decode(&hostile).map(drop)), "{memory} {passes} {lanes} in a file");
    }
    assert!(Argon2Params::new(19_456, 2, 1).is_ok() && Argon2Params::new(1_048_576, 16, 16).is_ok());
    let default = Argon2Params::default();
    assert_eq!((default.memory_kib(), default.passes(), default.lanes()), (65_536, 3, 4));
}

#[test]
fn a_file_is_written_once_and_replaced_on_purpose() {
    let suite = lenient();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node.key");
    let (one, other) = (locked(&suite), locked(&suite));
    one.write_new(&path).expect("written");
    assert_eq!(KeyFile::read(&path).expect("read"), one);
    assert!(matches!(other.write_new(&path), Err(KeyFileError::Exists { path: found }) if found == path));
    assert_eq!(KeyFile::read(&path).expect("read"), one, "the first stays");
    other.replace(&path).expect("replaced");
    assert_eq!(KeyFile::read(&path).expect("read"), other);
    let names: Vec<_> =
        fs::read_dir(folder.path()).expect("a folder").map(|one| one.expect("a file").file_name()).collect();
    assert_eq!(names, ["node.key"], "nothing is left behind");
}

#[test]
fn what_cannot_be_written_or_read_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("nowhere").join("node.key");
    assert!(matches!(locked(&lenient()).write_new(&missing), Err(KeyFileError::Io { .. })));
    assert!(matches!(locked(&lenient()).replace(&missing), Err(KeyFileError::Io { .. })));
    assert!(matches!(KeyFile::read(&missing), Err(KeyFileError::Io { path, .. }) if path == missing));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_a_key_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node.key");
    locked(&lenient()).write_new(&path).expect("written");
    let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    locked(&lenient()).replace(&path).expect("replaced");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    for wrong in [0o640, 0o604, 0o660, 0o610] {
        fs::set_permissions(&path, fs::Permissions::from_mode(wrong)).expect("changed");
        let found = KeyFile::read(&path);
        assert!(matches!(found, Err(KeyFileError::Permissions { mode, .. }) if mode == wrong), "{wrong:o}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_is_too_long_is_not_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node.key");
    fs::write(&path, vec![7; KeyFile::MAX_LEN + 1]).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
    assert!(matches!(KeyFile::read(&path), Err(KeyFileError::TooLong { .. })));
}

/// The public half is an encoding of its own, whose inside must be what it is written as.
#[test]
fn a_public_half_of_another_form_is_refused() {
    let encoded = locked(&lenient()).encode();
    let public = 4 + 2 + 12 + 2 + 16 + 4;
    // Kind, version, algorithm and length of the public key.
    for at in public..public + 8 {
        let mut changed = encoded.clone();
        changed[at] ^= 1;
        assert!(KeyFile::decode(&changed).is_err(), "byte {at}");
    }
}
