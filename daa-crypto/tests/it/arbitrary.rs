//! The corpus of the fuzz targets, and bytes near it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use daa_crypto::share::split;
use daa_crypto::testing::decoders;
use daa_crypto::{
    Argon2Params, Context, DigestAlgorithm, KemAlgorithm, KeyFile, Passphrase, Rotation, SignatureAlgorithm,
};

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 8] = [
    ("digest", decoders::digest),
    ("kem_ciphertext", decoders::kem_ciphertext),
    ("key_file", decoders::key_file),
    ("keys", decoders::keys),
    ("rotation", decoders::rotation),
    ("sealed", decoders::sealed),
    ("share", decoders::share),
    ("signature", decoders::signature),
];

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join("corpus").join(target)
}

fn files(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fs::read_dir(corpus(target)).expect("a corpus");
    let paths = folder.map(|file| file.expect("a file").path());
    let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).expect("bytes"))).collect();
    files.sort();
    files
}

#[test]
fn every_target_holds_on_its_corpus() {
    for (name, target) in TARGETS {
        let files = files(name);
        assert!(!files.is_empty(), "{name} has a corpus");
        for (_, bytes) in files {
            target(&bytes);
        }
    }
}

/// Every target on every other target's corpus, cut, and with changed bytes.
#[test]
fn every_target_holds_near_every_corpus() {
    for (name, _) in TARGETS {
        for (_, bytes) in files(name) {
            for (_, target) in TARGETS {
                target(&bytes);
                target(&bytes[..bytes.len() / 2]);
                for at in [0, 1, 2, 3, 4, 7, 8, 11, 12, bytes.len().saturating_sub(1)] {
                    let mut changed = bytes.clone();
                    if let Some(byte) = changed.get_mut(at) {
                        *byte ^= 0x81;
                        target(&changed);
                    }
                }
            }
        }
    }
}

/// Writes the beginnings of the corpus anew, after a change of an encoding:
/// `cargo test -p daa-crypto --test it -- --ignored writes_the_corpus`.
#[test]
#[ignore = "writes files that are kept"]
fn writes_the_corpus() {
    let suite = decoders::lenient_suite();
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(corpus(target)).expect("a folder");
        fs::write(corpus(target).join(name), bytes).expect("written");
    };
    let test = Context::new("daa-crypto fuzz");
    use SignatureAlgorithm as S;
    let key = |algorithm: S, byte| {
        suite.signing_key_from_seed(algorithm, &vec![byte; algorithm.seed_len()]).expect("a key")
    };
    for algorithm in [S::MlDsa44, S::SlhDsaSha2_192f, S::Ed25519, S::MlDsa44Ed25519] {
        write("keys", &algorithm.to_string(), &key(algorithm, 1).verifying_key().encode());
    }
    for algorithm in [S::MlDsa44, S::Ed25519, S::MlDsa44Ed25519] {
        let signature = key(algorithm, 1).sign(test, b"message").expect("a signature");
        write("signature", &algorithm.to_string(), &signature.encode());
    }
    for algorithm in [KemAlgorithm::MlKem768, KemAlgorithm::XWing] {
        let key =
            suite.decapsulation_key_from_seed(algorithm, &vec![1; algorithm.seed_len()]).expect("a key");
        let public = key.encapsulation_key();
        write("keys", &algorithm.to_string(), &public.encode());
        write(
            "kem_ciphertext",
            &algorithm.to_string(),
            &suite.encapsulate(public).expect("a secret").0.encode(),
        );
    }
    let recipient = decoders::recipient();
    let sealed = suite.seal(recipient.encapsulation_key(), test, b"", b"message").expect("sealed");
    write("sealed", "message", &sealed);
    let mut writer = suite.seal_to(recipient.encapsulation_key(), test, Vec::new()).expect("a writer");
    writer.write_all(b"a stream").expect("written");
    write("sealed", "stream", &writer.finish().expect("finished"));
    let locked = KeyFile::lock(&key(S::Ed25519, 1), &Passphrase::new("fuzz"), Argon2Params::weakest());
    write("key_file", "ed25519", &locked.expect("locked").encode());
    let locked = KeyFile::lock(&recipient, &Passphrase::new("fuzz"), Argon2Params::weakest());
    write("key_file", "x-wing", &locked.expect("locked").encode());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (old, new) = (key(S::Ed25519, 1), key(S::Ed25519, 2));
    let (first, one) = (old.verifying_key().id(), std::num::NonZeroU64::MIN);
    let rotation = runtime.block_on(Rotation::sign(first, &old, &new, one));
    write("rotation", "ed25519", &rotation.expect("a rotation").encode());
    let newer = key(S::MlDsa44, 2);
    let rotation = runtime.block_on(Rotation::sign(first, &new, &newer, one.saturating_add(1)));
    write("rotation", "to-ml-dsa-44", &rotation.expect("a rotation").encode());
    for share in split(b"a secret", 2, 3).expect("shares") {
        write("share", &format!("{}-of-3", share.index()), &share.encode());
    }
    for &algorithm in DigestAlgorithm::ALL {
        write("digest", &algorithm.to_string(), &algorithm.digest(b"message").encode());
    }
}
