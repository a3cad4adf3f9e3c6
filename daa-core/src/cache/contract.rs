//! The contract of a cache.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use super::counters::CacheStats;
use super::entry::CacheEntry;
use super::error::CacheError;
use super::key::CacheKey;
use crate::id::CacheTag;

/// Entries of bytes that last for a while.
///
/// # Contract
///
/// An implementation may lose an entry at any time. Apart from that it must:
/// - answer a [`get`](Self::get) with what was put under that key last, byte for byte;
/// - never answer with an entry whose time is over, or that was removed, invalidated or replaced before the call began;
/// - put an entry wholly or not at all, its tags included;
/// - refuse what [`CacheEntry::check`] refuses, before anything else;
/// - bound its memory, by giving up entries, never by refusing new ones;
/// - count as [`CacheStats`] says.
///
/// Whose clock the time to live runs on is up to the implementation; the reader's has no say.
///
/// The suite in `cache::testing` (feature `test-util`) checks that; every implementation runs it.
#[async_trait]
pub trait Cache: Send + Sync + fmt::Debug {
    /// The value under `key`, if there is one.
    ///
    /// # Errors
    /// [`CacheError`]; it says nothing about whether there is one.
    async fn get(&self, key: &CacheKey) -> Result<Option<Bytes>, CacheError>;

    /// Puts an entry under `key`, in place of one that is there.
    ///
    /// # Errors
    /// [`CacheError`]. After [`CacheError::Unavailable`] the entry may be there or not, and so may the one before it.
    ///
    /// # Cancel safety
    /// A dropped future leaves the entry there or not.
    async fn put(&self, key: &CacheKey, entry: CacheEntry) -> Result<(), CacheError>;

    /// Takes the entry under `key` away; whether there was one.
    ///
    /// # Errors
    /// [`CacheError`]. After [`CacheError::Unavailable`] the entry may be there or not.
    ///
    /// # Cancel safety
    /// A dropped future leaves the entry there or not.
    async fn remove(&self, key: &CacheKey) -> Result<bool, CacheError>;

    /// Takes away every entry that has `tag`, and was put before the call began; how many there were. Entries that are
    /// put meanwhile may stay.
    ///
    /// Where an entry was replaced by one without the tag, an implementation may take that one away too.
    ///
    /// # Errors
    /// [`CacheError`]. After [`CacheError::Unavailable`] some of the entries may be gone. Calling again goes on.
    ///
    /// # Cancel safety
    /// A dropped future leaves some of the entries.
    async fn invalidate(&self, tag: &CacheTag) -> Result<u64, CacheError>;

    /// What went through this handle and its clones.
    fn stats(&self) -> CacheStats;
}
