//! Short names of public keys.

use std::fmt;
use std::str::FromStr;

use crate::error::{Fault, Reaction};

/// The BLAKE3 digest of a public key's encoding: who holds the key.
///
/// It covers the algorithm's id, so the same bytes as keys of two algorithms have two names. Shown as 64 lower-case
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// The name of the key with this encoding.
    pub(crate) fn of(encoded: &[u8]) -> Self {
        Self(blake3::derive_key("daa-crypto 2026-11 key id v1", encoded))
    }

    /// Wraps 32 bytes that are already a name.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A text that is not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 64 lower-case hexadecimal digits")]
#[non_exhaustive]
pub struct ParseKeyIdError;

impl Reaction for ParseKeyIdError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}

impl FromStr for KeyId {
    type Err = ParseKeyIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hash = blake3::Hash::from_hex(text).map_err(|_| ParseKeyIdError)?;
        // One text for each name.
        let id = Self(*hash.as_bytes());
        (id.to_string() == text).then_some(id).ok_or(ParseKeyIdError)
    }
}
