//! Digests and derived keys: published values, and separation.

use daa_crypto::{Context, Digest, DigestAlgorithm, HkdfSha256, derive_key};
use proptest::prelude::*;

const ONE: Context = Context::new("daa-crypto test one");
const OTHER: Context = Context::new("daa-crypto test other");

/// FIPS 180-4 examples, and the vectors of BLAKE3's authors.
#[test]
fn digests_are_the_published_ones() {
    let published = [
        (
            DigestAlgorithm::Sha256,
            "abc",
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            DigestAlgorithm::Sha384,
            "abc",
            "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            DigestAlgorithm::Sha512,
            "abc",
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (
            DigestAlgorithm::Blake3,
            "",
            "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        ),
    ];
    for (algorithm, message, digest) in published {
        assert_eq!(algorithm.digest(message.as_bytes()).to_string(), digest);
    }
}

#[test]
fn context_and_fields_separate_derived_keys() {
    let hkdf = HkdfSha256::extract(b"salt", b"secret");
    let other_salt = HkdfSha256::extract(b"tlas", b"secret");
    let keys = [
        hkdf.derive(ONE, &[]),
        hkdf.derive(OTHER, &[]),
        hkdf.derive(ONE, &[b""]),
        hkdf.derive(ONE, &[b"ab", b"c"]),
        hkdf.derive(ONE, &[b"a", b"bc"]),
        hkdf.derive(ONE, &[b"abc"]),
        other_salt.derive(ONE, &[]),
        derive_key(ONE, b"secret", &[]),
        derive_key(OTHER, b"secret", &[]),
        derive_key(ONE, b"secret", &[b""]),
        derive_key(ONE, b"secret", &[b"ab", b"c"]),
        derive_key(ONE, b"secret", &[b"a", b"bc"]),
        derive_key(ONE, b"secrets", &[]),
    ];
    for (at, one) in keys.iter().enumerate() {
        for other in &keys[..at] {
            assert_ne!(one, other, "key {at}");
        }
    }
    assert_eq!(hkdf.derive(ONE, &[b"ab"]), hkdf.derive(ONE, &[b"ab"]));
    assert_eq!(derive_key(ONE, b"s", &[b"ab"]), derive_key(ONE, b"s", &[b"ab"]));
}

/// What is stored or sent depends on these: a change of them is a new version. Computed by other implementations, in Python,
/// from the description in docs/design/crypto.md.
#[test]
fn derived_keys_stay_what_they_are() {
    let hkdf = HkdfSha256::extract(b"salt", b"secret").derive(ONE, &[b"field"]);
    let blake3 = derive_key(ONE, b"secret", &[b"field"]);
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    assert_eq!(hex(hkdf.as_bytes()), PINNED_HKDF);
    assert_eq!(hex(blake3.as_bytes()), PINNED_BLAKE3);
}

const PINNED_HKDF: &str = "39e890516ed7c658644a3970ed94dd3ab4998c2d7c75c6fc65060b5df0072ac0";
const PINNED_BLAKE3: &str = "39eaf113967f72f704e6f5faf9528855f4b94a8c1c1af3d1a5adb5cee4e14dae";

proptest! {
    #[test]
    fn parts_hash_like_the_whole(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
        for &algorithm in DigestAlgorithm::ALL {
            let mut hasher = algorithm.hasher();
            parts.iter().for_each(|part| hasher.update(part));
            let digest = hasher.finish();
            prop_assert_eq!(&digest, &algorithm.digest(&parts.concat()));
            prop_assert_eq!(digest.as_bytes().len(), algorithm.digest_len());
            prop_assert_eq!(Digest::decode(&digest.encode()), Ok(digest));
        }
    }
}
