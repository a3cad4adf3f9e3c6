//! The cache in memory: complete, and gone with the process.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::contract::Cache;
use super::counters::{CacheCounters, CacheStats};
use super::entry::CacheEntry;
use super::error::CacheError;
use super::key::CacheKey;
use crate::clock::{Clock, Timestamp};
use crate::id::CacheTag;

/// What an entry costs beside its key and value: a round figure.
const OVERHEAD: usize = 256;

/// A [`Cache`] in memory. Clones share one. When it is full, the entries go first that nobody used for longest.
///
/// It has one lock: fit for tests, and for what is not read millions of times a second. In front of a loader,
/// [`Cached`](super::cached::Cached) has a faster one of its own.
#[derive(Clone, Debug)]
pub struct MemoryCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    counters: CacheCounters,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    capacity: usize,
    bytes: usize,
    held: HashMap<CacheKey, Held>,
    by_tag: HashMap<CacheTag, HashSet<CacheKey>>,
    /// From the one used least recently on.
    by_use: BTreeMap<u64, CacheKey>,
    uses: u64,
}

#[derive(Debug)]
struct Held {
    value: Bytes,
    until: Timestamp,
    tags: Vec<CacheTag>,
    used: u64,
}

impl MemoryCache {
    /// An empty cache that holds up to about `capacity` bytes, by the time of `clock`.
    #[must_use]
    pub fn new(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        let entries = Mutex::new(Entries { capacity, ..Entries::default() });
        Self(Arc::new(Shared { clock, counters: CacheCounters::default(), entries }))
    }

    /// Nothing panics between two changes of the entries, so a poisoned lock still guards a whole.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn get(&mut self, key: &CacheKey, now: Timestamp) -> Option<Bytes> {
        self.uses += 1;
        let held = self.held.get_mut(key)?;
        if held.until <= now {
            self.remove(key);
            return None;
        }
        self.by_use.remove(&held.used);
        self.by_use.insert(self.uses, key.clone());
        held.used = self.uses;
        Some(held.value.clone())
    }

    fn put(&mut self, key: &CacheKey, entry: CacheEntry, now: Timestamp) {
        self.remove(key);
        self.uses += 1;
        for tag in &entry.tags {
            self.by_tag.entry(tag.clone()).or_default().insert(key.clone());
        }
        self.bytes += size(key, &entry.value);
        self.by_use.insert(self.uses, key.clone());
        let CacheEntry { value, ttl, tags } = entry;
        self.held.insert(key.clone(), Held { value, until: now + ttl, tags, used: self.uses });
        while self.bytes > self.capacity
            && let Some((_, key)) = self.by_use.first_key_value()
        {
            let key = key.clone();
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &CacheKey) -> Option<Held> {
        let held = self.held.remove(key)?;
        self.bytes -= size(key, &held.value);
        self.by_use.remove(&held.used);
        for tag in &held.tags {
            if let Some(keys) = self.by_tag.get_mut(tag) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_tag.remove(tag);
                }
            }
        }
        Some(held)
    }
}

fn size(key: &CacheKey, value: &Bytes) -> usize {
    OVERHEAD + key.as_bytes().len() + value.len()
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &CacheKey) -> Result<Option<Bytes>, CacheError> {
        let now = self.0.clock.now();
        let value = self.entries().get(key, now);
        self.0.counters.read(value.is_some());
        Ok(value)
    }

    async fn put(&self, key: &CacheKey, entry: CacheEntry) -> Result<(), CacheError> {
        entry.check()?;
        let now = self.0.clock.now();
        self.entries().put(key, entry, now);
        self.0.counters.put();
        Ok(())
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, CacheError> {
        let now = self.0.clock.now();
        let there = self.entries().remove(key).is_some_and(|held| held.until > now);
        self.0.counters.removed(u64::from(there));
        Ok(there)
    }

    async fn invalidate(&self, tag: &CacheTag) -> Result<u64, CacheError> {
        let now = self.0.clock.now();
        let mut entries = self.entries();
        let keys = entries.by_tag.remove(tag).unwrap_or_default();
        let held = keys.iter().filter_map(|key| entries.remove(key));
        let there = held.filter(|held| held.until > now).count() as u64;
        self.0.counters.removed(there);
        Ok(there)
    }

    fn stats(&self) -> CacheStats {
        self.0.counters.stats()
    }
}
