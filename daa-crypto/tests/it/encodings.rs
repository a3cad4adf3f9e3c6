//! Encodings: what is written is read, in one way only.

use daa_crypto::share::{Share, split};
use daa_crypto::{
    Argon2Params, Context, CryptoSuite, DecodeError, Digest, DigestAlgorithm, KemAlgorithm, KeyFile, KeyId,
    Kind, Passphrase, Rotation, SignatureAlgorithm,
};
use proptest::prelude::*;

use crate::{lenient, seed};

const TEST: Context = Context::new("daa-crypto test");

/// Decodes bytes as one kind, and writes what it was again.
type Again = fn(&CryptoSuite, &[u8]) -> Result<Vec<u8>, DecodeError>;

const DECODERS: [(Kind, Again); 8] = [
    (Kind::VerifyingKey, |suite, bytes| suite.decode_verifying_key(bytes).map(|key| key.encode())),
    (Kind::Signature, |suite, bytes| suite.decode_signature(bytes).map(|one| one.encode())),
    (Kind::EncapsulationKey, |suite, bytes| suite.decode_encapsulation_key(bytes).map(|key| key.encode())),
    (Kind::KemCiphertext, |suite, bytes| suite.decode_kem_ciphertext(bytes).map(|one| one.encode())),
    (Kind::KeyFile, |_, bytes| KeyFile::decode(bytes).map(|file| file.encode())),
    (Kind::Rotation, |suite, bytes| suite.decode_rotation(bytes).map(|one| one.encode())),
    (Kind::Share, |_, bytes| Share::decode(bytes).map(|share| share.encode().to_vec())),
    (Kind::Digest, |_, bytes| Digest::decode(bytes).map(|digest| digest.encode())),
];

/// Each kind that is decoded by itself, with an example of each algorithm.
fn kinds() -> Vec<(Kind, Again, Vec<Vec<u8>>)> {
    let suite = lenient();
    let signing: Vec<_> = SignatureAlgorithm::ALL
        .iter()
        .map(|&one| suite.signing_key_from_seed(one, &seed(one.seed_len())).expect("a key"))
        .collect();
    let kem: Vec<_> = KemAlgorithm::ALL
        .iter()
        .map(|&one| suite.decapsulation_key_from_seed(one, &seed(one.seed_len())).expect("a key"))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let one = std::num::NonZeroU64::MIN;
    let rotation =
        runtime.block_on(Rotation::sign(signing[0].verifying_key().id(), &signing[0], &signing[5], one));
    let rotation = rotation.expect("a rotation");
    let passphrase = Passphrase::new("right");
    let file = KeyFile::lock(&kem[0], &passphrase, Argon2Params::weakest()).expect("locked");
    let examples: [Vec<Vec<u8>>; 8] = [
        signing.iter().map(|key| key.verifying_key().encode()).collect(),
        signing.iter().map(|key| key.sign(TEST, b"message").expect("a signature").encode()).collect(),
        kem.iter().map(|key| key.encapsulation_key().encode()).collect(),
        kem.iter()
            .map(|key| suite.encapsulate(key.encapsulation_key()).expect("a secret").0.encode())
            .collect(),
        vec![file.encode()],
        vec![rotation.encode()],
        split(b"secret", 2, 3).expect("shares").iter().map(|share| share.encode().to_vec()).collect(),
        DigestAlgorithm::ALL.iter().map(|one| one.digest(b"message").encode()).collect(),
    ];
    DECODERS.into_iter().zip(examples).map(|((kind, again), examples)| (kind, again, examples)).collect()
}

#[test]
fn what_is_written_is_read() {
    for (kind, again, examples) in kinds() {
        for example in examples {
            assert_eq!(example[0], kind as u8);
            assert_eq!(again(&lenient(), &example).as_deref(), Ok(example.as_slice()), "{kind}");
        }
    }
}

#[test]
fn what_is_cut_short_or_goes_on_is_refused() {
    for (kind, again, examples) in kinds() {
        for example in examples {
            let step = (example.len() / 300).max(1);
            for len in (0..example.len()).step_by(step).chain([example.len() - 1]) {
                let found = again(&lenient(), &example[..len]);
                assert!(
                    matches!(found, Err(DecodeError::Truncated { .. })),
                    "{kind} cut to {len}: {found:?}"
                );
            }
            let longer = [example.as_slice(), &[0]].concat();
            let found = again(&lenient(), &longer);
            assert_eq!(found, Err(DecodeError::TrailingBytes { count: 1 }), "{kind}");
        }
    }
}

/// Whatever byte is changed: it is refused, or it is another value, which is written as it was read.
#[test]
fn each_value_has_one_encoding() {
    let suite = lenient();
    for (kind, again, examples) in kinds() {
        for example in examples {
            let step = (example.len() / 500).max(1);
            let (head, rest) = (0..example.len().min(120), 120.min(example.len())..example.len());
            for at in head.chain(rest.step_by(step)) {
                for change in [0x01, 0x80, 0xff] {
                    let mut changed = example.clone();
                    changed[at] ^= change;
                    if let Ok(written) = again(&suite, &changed) {
                        assert_eq!(written, changed, "{kind}, byte {at}");
                    }
                }
            }
        }
    }
}

#[test]
fn kind_version_and_algorithm_are_checked_in_this_order() {
    let suite = lenient();
    for (kind, again, examples) in kinds() {
        let mut example = examples[0].clone();
        example[3] = 0xee;
        assert_eq!(
            again(&suite, &example),
            Err(DecodeError::UnknownAlgorithm { found: u16::from_be_bytes([example[2], 0xee]) }),
            "{kind}"
        );
        example[1] = 2;
        assert_eq!(again(&suite, &example), Err(DecodeError::UnknownVersion { found: 2 }), "{kind}");
        example[0] = 99;
        assert_eq!(
            again(&suite, &example),
            Err(DecodeError::WrongKind { expected: kind, found: 99 }),
            "{kind}"
        );
    }
}

/// An algorithm of another sort, or of another length, in the place of the right one.
#[test]
fn exchanged_algorithms_are_refused() {
    let suite = lenient();
    let ids = SignatureAlgorithm::ALL
        .iter()
        .map(|one| one.id())
        .chain(KemAlgorithm::ALL.iter().map(|one| one.id()));
    let ids: Vec<u16> = ids
        .chain(DigestAlgorithm::ALL.iter().map(|one| one.id()))
        .chain([0, 0x0301, 0x0601, u16::MAX])
        .collect();
    for (kind, again, examples) in kinds() {
        for example in examples {
            for id in &ids {
                let mut changed = example.clone();
                changed[2..4].copy_from_slice(&id.to_be_bytes());
                if let Ok(written) = again(&suite, &changed) {
                    // Only algorithms of the same lengths can be exchanged; the value is then another one.
                    assert_eq!(written, changed, "{kind}");
                }
            }
        }
    }
}

#[test]
fn no_id_is_given_twice() {
    let signatures = SignatureAlgorithm::ALL.iter().map(|one| (one.id(), one.to_string()));
    let kems = KemAlgorithm::ALL.iter().map(|one| (one.id(), one.to_string()));
    let digests = DigestAlgorithm::ALL.iter().map(|one| (one.id(), one.to_string()));
    let all: Vec<_> = signatures.chain(kems).chain(digests).collect();
    for (at, (id, name)) in all.iter().enumerate() {
        assert!(all[..at].iter().all(|(other, _)| other != id), "{name}");
    }
    for &one in SignatureAlgorithm::ALL {
        assert_eq!(SignatureAlgorithm::from_id(one.id()), Some(one));
    }
}

/// The bytes themselves: a change of them is a new version.
#[test]
fn encodings_stay_what_they_are() {
    let digest = DigestAlgorithm::Sha256.digest(b"abc");
    let hex = data_encoding::HEXLOWER.encode(&digest.encode());
    assert_eq!(hex, "0a01050100000020ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let key = lenient().signing_key_from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).expect("a key");
    let hex = data_encoding::HEXLOWER.encode(&key.verifying_key().encode());
    // The public key of this seed is in many places; its encoding is ours.
    assert_eq!(hex, "01010121000000208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
    assert_eq!(key.verifying_key().id().to_string(), PINNED_KEY_ID);
}

const PINNED_KEY_ID: &str = "07612928dbea09c4dbbe4193c15c58fae0b96bbe88f8ce8d9b3f4d13c0cff943";

#[test]
fn key_ids_are_read_as_they_are_shown() {
    let id = KeyId::from_bytes([0xab; 32]);
    assert_eq!(id.to_string().parse(), Ok(id));
    assert!(id.to_string().to_uppercase().parse::<KeyId>().is_err(), "one text for each");
    assert!("ab".parse::<KeyId>().is_err());
}

/// Keys of small order, and second encodings of one point, are no keys of Ed25519.
#[test]
fn weak_and_non_canonical_points_are_refused() {
    let suite = lenient();
    let mut one = [0; 32];
    one[0] = 1;
    // The identity; the identity with the sign bit; p + 1, which is the identity again; a point of order 8.
    let identity_signed = {
        let mut bytes = one;
        bytes[31] = 0x80;
        bytes
    };
    let mut p_plus_one = [0xff; 32];
    (p_plus_one[0], p_plus_one[31]) = (0xee, 0x7f);
    let order_eight = data_encoding::HEXLOWER
        .decode(b"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
        .expect("hexadecimal");
    for raw in [one.as_slice(), &identity_signed, &p_plus_one, &order_eight] {
        let encoded = [&[1, 1, 0x01, 0x21, 0, 0, 0, 32], raw].concat();
        let found = suite.decode_verifying_key(&encoded);
        assert!(matches!(found, Err(DecodeError::InvalidKey { .. })), "{found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Bytes that begin like an encoding: never a panic, and what is read is written the same.
    #[test]
    fn arbitrary_bytes_are_refused_or_canonical(
        kind in 0..12_u8,
        id in prop::sample::select(vec![0x0101_u16, 0x0102, 0x0112, 0x0121, 0x0131, 0x0201, 0x0211, 0x0501, 0x0511, 0x0601]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [&[kind, 1], id.to_be_bytes().as_slice(), &rest].concat();
        for (_, again) in DECODERS {
            if let Ok(written) = again(&lenient(), &bytes) {
                prop_assert_eq!(&written, &bytes);
            }
        }
    }
}
