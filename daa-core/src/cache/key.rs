//! What entries are found by.

use std::fmt;

use bytes::Bytes;

use super::error::CacheError;
use crate::digest::Digest;

/// The longest key, in bytes.
pub const MAX_KEY: usize = 512;

/// A key: 1 to 512 bytes of any kind; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey(Bytes);

impl CacheKey {
    /// Checks and wraps bytes.
    ///
    /// # Errors
    /// [`CacheError::EmptyKey`], [`CacheError::TooLarge`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, CacheError> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(CacheError::EmptyKey),
            1..=MAX_KEY => Ok(Self(bytes)),
            actual => Err(CacheError::TooLarge { what: "bytes of key", actual, limit: MAX_KEY }),
        }
    }

    /// The key of bytes of any length: a digest of them.
    #[must_use]
    pub fn of_digest(bytes: &[u8]) -> Self {
        let digest = Digest::builder("daa cache key v1").field(bytes).finish();
        Self(Bytes::copy_from_slice(digest.as_bytes()))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
