//! Hashes of the tree: SHA-256 with the prefixes of RFC 9162, section 2.1.1.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use super::base64;

/// A node of a Merkle tree, shown in base64 as checkpoints have it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHash([u8; 32]);

impl TreeHash {
    /// The root of the tree without records: the hash of nothing.
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);
    /// How many bytes a hash has.
    pub const LEN: usize = 32;

    /// Wraps 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The leaf of a record: SHA-256 of a zero byte and the record.
    #[must_use]
    pub fn leaf(record: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(record).finalize().into())
    }

    /// The node above two: SHA-256 of a one byte and both.
    #[must_use]
    pub fn node(left: &Self, right: &Self) -> Self {
        let mut bytes = [1; 65];
        if let Some((_, both)) = bytes.split_first_mut() {
            let (first, second) = both.split_at_mut(Self::LEN);
            first.copy_from_slice(&left.0);
            second.copy_from_slice(&right.0);
        }
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&BASE64.encode_display(&self.0), f)
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A string that is not the base64 of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 32 bytes in base64")]
#[non_exhaustive]
pub struct ParseHashError;

impl FromStr for TreeHash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        // Checked first, so that nothing long is decoded.
        if text.len() != 44 {
            return Err(ParseHashError);
        }
        let bytes = base64::decode(text).ok_or(ParseHashError)?;
        bytes.try_into().map(Self).map_err(|_| ParseHashError)
    }
}

impl Serialize for TreeHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreeHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_root_is_the_hash_of_nothing() {
        assert_eq!(TreeHash::EMPTY.0, <[u8; 32]>::from(Sha256::digest([])));
    }

    #[test]
    fn text_round_trips_and_other_lengths_and_alphabets_are_refused() {
        let leaf = TreeHash::leaf(b"x");
        assert_eq!(leaf.to_string().parse(), Ok(leaf));
        // 29 bytes and 3 more, each with its own padding: as long, and as many bytes.
        let two = "8qqKJGetvKO+rjQG9GkZZdZHei2JCQdpTImk95I=vYa9";
        let others =
            ["", "AAAA", two, &"A".repeat(44), &format!("{leaf}\n"), &leaf.to_string().replace('=', "")];
        for text in others {
            assert_eq!(text.parse::<TreeHash>(), Err(ParseHashError), "{text}");
        }
    }
}
