//! What is put into a cache.

use std::time::Duration;

use bytes::Bytes;

use super::error::CacheError;
use crate::id::CacheTag;

/// The largest value, in bytes.
pub const MAX_VALUE: usize = 4 << 20;

/// The most tags that one entry may have.
pub const MAX_TAGS: usize = 16;

/// The longest that an entry may last: a year.
pub const MAX_TTL: Duration = Duration::from_secs(366 * 86_400);

/// A value, how long it lasts, and what it can be invalidated by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheEntry {
    /// The value.
    pub value: Bytes,
    /// For how long it lasts from now on. Caches count in whole milliseconds, and round down.
    pub ttl: Duration,
    /// By which tags it can be invalidated.
    pub tags: Vec<CacheTag>,
}

impl CacheEntry {
    /// A value that lasts for `ttl`, without tags.
    #[must_use]
    pub fn new(value: impl Into<Bytes>, ttl: Duration) -> Self {
        Self { value: value.into(), ttl, tags: Vec::new() }
    }

    /// The entry, which `tag` invalidates too.
    #[must_use]
    pub fn with_tag(mut self, tag: CacheTag) -> Self {
        self.tags.push(tag);
        self
    }

    /// The entry, which each of these tags invalidates too.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = CacheTag>) -> Self {
        self.tags.extend(tags);
        self
    }

    /// For those who implement a cache: the bounds.
    ///
    /// # Errors
    /// [`CacheError::TooLarge`] and [`CacheError::Ttl`].
    pub fn check(&self) -> Result<(), CacheError> {
        let within = |what, actual, limit| match actual {
            actual if actual > limit => Err(CacheError::TooLarge { what, actual, limit }),
            _ => Ok(()),
        };
        within("bytes of value", self.value.len(), MAX_VALUE)?;
        within("tags", self.tags.len(), MAX_TAGS)?;
        if self.ttl < Duration::from_millis(1) || self.ttl > MAX_TTL {
            return Err(CacheError::Ttl { ttl: self.ttl });
        }
        Ok(())
    }
}
