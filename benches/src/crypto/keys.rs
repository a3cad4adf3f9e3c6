//! Key encapsulation, and what is done with the secrets.

use aws_lc_rs::kem::{self, DecapsulationKey, EncapsulationKey};
use chacha20poly1305::aead::common::Generate as _;
use daa_crypto::{Context, CryptoSuite, DigestAlgorithm, HkdfSha256, KemAlgorithm, derive_key};
use sha2::{Digest as _, Sha256};
use x_wing::{Decapsulate as _, Decapsulator as _, Encapsulate as _};

use super::{line, pair, rate};
use crate::line::Line;

const BENCH: Context = Context::new("daa bench v1");
const MEGABYTE: usize = 1 << 20;

static KEM_768: kem::Algorithm = kem::ML_KEM_768;
static KEM_1024: kem::Algorithm = kem::ML_KEM_1024;

pub(super) fn run() -> Vec<Line> {
    let suite = CryptoSuite::new();
    let mut lines = ml_kem(&suite, KemAlgorithm::MlKem768, &KEM_768);
    lines.extend(ml_kem(&suite, KemAlgorithm::MlKem1024, &KEM_1024));
    lines.extend(x_wing(&suite));
    lines.extend(derivation());
    lines.extend(digests());
    lines
}

fn ml_kem(suite: &CryptoSuite, algorithm: KemAlgorithm, bare: &'static kem::Algorithm) -> Vec<Line> {
    let ours = suite.generate_decapsulation_key(algorithm).expect("a key");
    let public = ours.encapsulation_key();
    let (ciphertext, _) = suite.encapsulate(public).expect("a secret");
    let secret = DecapsulationKey::generate(bare).expect("a key");
    let bytes = secret.encapsulation_key().and_then(|key| key.key_bytes()).expect("a key");
    let bare_public = EncapsulationKey::new(bare, bytes.as_ref()).expect("a key");
    let bare_ciphertext = bare_public.encapsulate().expect("a secret").0.as_ref().to_vec();
    vec![
        line(
            format!("{algorithm}: generate a key"),
            "aws-lc-rs",
            pair(
                100,
                || suite.generate_decapsulation_key(algorithm).expect("a key"),
                || {
                    let secret = DecapsulationKey::generate(bare).expect("a key");
                    let public = secret.encapsulation_key().and_then(|key| key.key_bytes());
                    (secret, public.expect("a key"))
                },
            ),
        ),
        line(
            format!("{algorithm}: encapsulate"),
            "aws-lc-rs",
            pair(
                100,
                || suite.encapsulate(public).expect("a secret"),
                || bare_public.encapsulate().expect("a secret"),
            ),
        ),
        line(
            format!("{algorithm}: decapsulate"),
            "aws-lc-rs",
            pair(
                100,
                || suite.decapsulate(&ours, &ciphertext).expect("a secret"),
                || secret.decapsulate(bare_ciphertext.as_slice().into()).expect("a secret"),
            ),
        ),
    ]
}

fn x_wing(suite: &CryptoSuite) -> Vec<Line> {
    let ours = suite.generate_decapsulation_key(KemAlgorithm::XWing).expect("a key");
    let public = ours.encapsulation_key();
    let (ciphertext, _) = suite.encapsulate(public).expect("a secret");
    let bare = x_wing::DecapsulationKey::generate();
    let bare_public = bare.encapsulation_key().clone();
    let (bare_ciphertext, _) = bare_public.encapsulate();
    vec![
        line(
            "X-Wing: encapsulate",
            "x-wing",
            pair(50, || suite.encapsulate(public).expect("a secret"), || bare_public.encapsulate()),
        ),
        line(
            "X-Wing: decapsulate",
            "x-wing",
            pair(
                50,
                || suite.decapsulate(&ours, &ciphertext).expect("a secret"),
                || bare.decapsulate(&bare_ciphertext),
            ),
        ),
    ]
}

fn derivation() -> Vec<Line> {
    let ours = HkdfSha256::extract(b"salt", &[7; 32]);
    let bare = hkdf::Hkdf::<Sha256>::new(Some(b"salt"), &[7; 32]);
    vec![
        line(
            "HKDF-SHA-256: one key",
            "hkdf",
            pair(
                5_000,
                || ours.derive(BENCH, &[b"field"]),
                || {
                    let mut key = [0; 32];
                    bare.expand(b"daa bench v1 field", &mut key).expect("a key");
                    key
                },
            ),
        ),
        line(
            "BLAKE3: one key",
            "blake3",
            pair(
                5_000,
                || derive_key(BENCH, &[7; 32], &[b"field"]),
                || blake3::derive_key("daa bench v1", &[7; 32]),
            ),
        ),
    ]
}

fn digests() -> Vec<Line> {
    let bytes = vec![0x5a; MEGABYTE];
    vec![
        rate(
            "SHA-256: 1 MiB",
            "sha2",
            MEGABYTE,
            pair(5, || DigestAlgorithm::Sha256.digest(&bytes), || Sha256::digest(&bytes)),
        ),
        rate(
            "BLAKE3: 1 MiB",
            "blake3",
            MEGABYTE,
            pair(20, || DigestAlgorithm::Blake3.digest(&bytes), || blake3::hash(&bytes)),
        ),
    ]
}
