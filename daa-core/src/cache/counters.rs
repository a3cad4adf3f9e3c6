//! What a cache counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What went through a cache since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Reads that found an entry.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Entries that were put.
    pub puts: u64,
    /// Entries that were there and were removed, or invalidated by a tag.
    pub removed: u64,
    /// Calls that ended with [`CacheError::Unavailable`](super::CacheError::Unavailable).
    pub errors: u64,
}

/// For those who implement a cache: the counters behind [`CacheStats`].
#[derive(Debug, Default)]
pub struct CacheCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    puts: AtomicU64,
    removed: AtomicU64,
    errors: AtomicU64,
}

impl CacheCounters {
    /// A read that found something, or did not.
    pub fn read(&self, found: bool) {
        if found { &self.hits } else { &self.misses }.fetch_add(1, Ordering::Relaxed);
    }

    /// An entry was put.
    pub fn put(&self) {
        self.puts.fetch_add(1, Ordering::Relaxed);
    }

    /// Entries were removed.
    pub fn removed(&self, entries: u64) {
        self.removed.fetch_add(entries, Ordering::Relaxed);
    }

    /// A call failed.
    pub fn error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: read(&self.hits),
            misses: read(&self.misses),
            puts: read(&self.puts),
            removed: read(&self.removed),
            errors: read(&self.errors),
        }
    }
}
