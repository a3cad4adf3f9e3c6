//! Content digests: BLAKE3 over domain-separated, length-prefixed fields.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A 32-byte BLAKE3 digest, shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The plain BLAKE3 digest of `bytes`, as `b3sum` prints it.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Starts a digest over several fields, in the given domain.
    ///
    /// Two digests of different domains never collide by construction: the domain string is the BLAKE3
    /// key-derivation context, so choose one that is unique and versioned, such as `"daa action v1"`.
    #[must_use]
    pub fn builder(domain: &'static str) -> DigestBuilder {
        DigestBuilder { hasher: blake3::Hasher::new_derive_key(domain), waiting: [0; WAITING], len: 0 }
    }

    /// Wraps 32 bytes that are already a digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hexadecimal digits: for people to read, never to compare.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

/// A digest over several fields, each prefixed with its length, so that no two field lists collide.
#[derive(Clone)]
pub struct DigestBuilder {
    hasher: blake3::Hasher,
    /// Short fields that are hashed together.
    waiting: [u8; WAITING],
    len: usize,
}

/// How many bytes are hashed at once where fields are short: a block of the hash, twice.
const WAITING: usize = 128;

impl DigestBuilder {
    /// Adds one field.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        self.add(bytes);
        self
    }

    /// Adds one number, as eight little-endian bytes.
    #[must_use]
    pub fn number(self, value: u64) -> Self {
        self.field(&value.to_le_bytes())
    }

    /// Adds one field in place, for loops.
    pub fn add(&mut self, bytes: &[u8]) {
        self.update(&(bytes.len() as u64).to_le_bytes());
        self.update(bytes);
    }

    fn update(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(room) = self.waiting.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
            return;
        }
        self.flush();
        match self.waiting.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = bytes.len();
            }
            None => drop(self.hasher.update(bytes)),
        }
    }

    fn flush(&mut self) {
        self.hasher.update(self.waiting.get(..self.len).unwrap_or_default());
        self.len = 0;
    }

    /// Finishes the digest.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        self.flush();
        Digest(*self.hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for DigestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestBuilder")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A string that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
#[non_exhaustive]
pub struct ParseDigestError;

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes())).map_err(|_| ParseDigestError)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_blake3_vector_of_the_empty_input() {
        assert_eq!(
            Digest::of(b"").to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn moving_a_byte_between_fields_changes_the_digest() {
        let one = Digest::builder("daa test v1").field(b"ab").field(b"c").finish();
        let two = Digest::builder("daa test v1").field(b"a").field(b"bc").finish();
        assert_ne!(one, two);
    }

    #[test]
    fn fields_are_hashed_as_if_one_by_one_whatever_their_lengths() {
        let fields: Vec<Vec<u8>> = (0..300_usize).map(|len| (0..len).map(|at| at as u8).collect()).collect();
        for step in [1, 7, 60, 119, 120, 121, 128, 129] {
            let (mut builder, mut plain) =
                (Digest::builder("daa test v1"), blake3::Hasher::new_derive_key("daa test v1"));
            for field in fields.iter().step_by(step) {
                builder.add(field);
                plain.update(&(field.len() as u64).to_le_bytes()).update(field);
            }
            assert_eq!(builder.finish().as_bytes(), plain.finalize().as_bytes(), "every {step}th");
        }
    }

    #[test]
    fn domains_are_separate() {
        let one = Digest::builder("daa test v1").field(b"a").finish();
        let two = Digest::builder("daa test v2").field(b"a").finish();
        assert_ne!(one, two);
    }

    #[test]
    fn text_round_trips_and_rejects_what_is_not_hex() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("zz".parse::<Digest>(), Err(ParseDigestError));
    }
}
