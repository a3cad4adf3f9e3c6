//! Sealed messages and streams, beside the key encapsulation and the cipher under them.

use std::io::{Read as _, Write as _};

use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce};
use daa_crypto::{CHUNK, Context, CryptoSuite, KemAlgorithm};

use super::{line, pair, rate};
use crate::line::Line;

const BENCH: Context = Context::new("daa bench v1");
const STREAM: usize = 16 << 20;
const PEER: &str = "bare KEM and chacha20poly1305";

pub(super) fn run() -> Vec<Line> {
    let suite = CryptoSuite::new();
    let key = suite.generate_decapsulation_key(KemAlgorithm::MlKem768).expect("a key");
    let public = key.encapsulation_key();
    let (ciphertext, _) = suite.encapsulate(public).expect("a secret");
    let message = [0x5a; 1024];
    let sealed = suite.seal(public, BENCH, b"", &message).expect("sealed");
    let cipher = ChaCha20Poly1305::new(&[7; 32].into());
    let nonce = Nonce::from([0; 12]);
    let bare_sealed = cipher.encrypt(&nonce, message.as_slice()).expect("sealed");
    let mut lines = vec![
        line(
            "sealed message: seal 1 KiB to ML-KEM-768",
            PEER,
            pair(
                100,
                || suite.seal(public, BENCH, b"", &message).expect("sealed"),
                || {
                    let (ciphertext, secret) = suite.encapsulate(public).expect("a secret");
                    let cipher = ChaCha20Poly1305::new(secret.as_bytes().into());
                    (ciphertext, cipher.encrypt(&nonce, message.as_slice()).expect("sealed"))
                },
            ),
        ),
        line(
            "sealed message: open 1 KiB with ML-KEM-768",
            PEER,
            pair(
                100,
                || suite.open(&key, BENCH, b"", &sealed).expect("opened"),
                || {
                    let secret = suite.decapsulate(&key, &ciphertext).expect("a secret");
                    (secret, cipher.decrypt(&nonce, bare_sealed.as_slice()).expect("opened"))
                },
            ),
        ),
    ];

    let plaintext = vec![0x5a; STREAM];
    let seal = || {
        let to = Vec::with_capacity(STREAM + STREAM / 1000);
        let mut writer = suite.seal_to(public, BENCH, to).expect("a writer");
        writer.write_all(&plaintext).expect("written");
        writer.finish().expect("finished")
    };
    let bare_seal = || {
        let mut to = Vec::with_capacity(STREAM + STREAM / 1000);
        for chunk in plaintext.chunks(CHUNK) {
            to.extend_from_slice(&cipher.encrypt(&nonce, chunk).expect("sealed"));
        }
        to
    };
    let (sealed, bare) = (seal(), bare_seal());
    lines.push(rate("sealed stream: seal 16 MiB", "bare chacha20poly1305", STREAM, pair(1, seal, bare_seal)));
    lines.push(rate(
        "sealed stream: open 16 MiB",
        "bare chacha20poly1305",
        STREAM,
        pair(
            1,
            || {
                let mut opened = Vec::with_capacity(STREAM);
                let mut reader = suite.open_from(&key, BENCH, sealed.as_slice()).expect("a reader");
                reader.read_to_end(&mut opened).expect("opened");
                opened
            },
            || {
                let mut opened = Vec::with_capacity(STREAM);
                for chunk in bare.chunks(CHUNK + daa_crypto::TAG) {
                    opened.extend_from_slice(&cipher.decrypt(&nonce, chunk).expect("opened"));
                }
                opened
            },
        ),
    ));
    lines
}
