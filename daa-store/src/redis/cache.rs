//! The cache.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::cache::{Cache, CacheCounters, CacheEntry, CacheError, CacheKey, CacheStats};
use daa_core::id::CacheTag;
use redis::{Cmd, Script};

use super::error::RedisUnavailable;
use super::server::Redis;

static PUT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/put.lua")));
static INVALIDATE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/invalidate.lua")));

/// How many entries one step of an invalidation takes away: for so long nobody else is served.
const STEP: u64 = 1_000;

/// A [`Cache`] on Redis, for all processes that use the same name space.
///
/// Entries end by the server's clock. What it holds is bounded by the server's `maxmemory`, with a policy that evicts.
///
/// A tag is a sorted set of keys, and lasts as long as its entries. An entry that was replaced by one without the tag
/// is invalidated by it all the same.
#[derive(Clone, Debug)]
pub struct RedisCache {
    redis: Redis,
    counters: Arc<CacheCounters>,
}

impl RedisCache {
    /// The cache of `redis`'s name space.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { redis, counters: Arc::default() }
    }

    fn key(&self, key: &CacheKey) -> Vec<u8> {
        self.redis.namespace().key("cache", key.as_bytes())
    }

    fn tag(&self, tag: &CacheTag) -> Vec<u8> {
        self.redis.namespace().key("tag", tag.as_str().as_bytes())
    }

    /// Counts a failure.
    fn failed(&self, error: RedisUnavailable) -> CacheError {
        self.counters.error();
        CacheError::unavailable(error)
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &CacheKey) -> Result<Option<Bytes>, CacheError> {
        let asked: Result<Option<Bytes>, _> = self.redis.ask(Cmd::new().arg("GET").arg(self.key(key))).await;
        let value = asked.map_err(|error| self.failed(error))?;
        self.counters.read(value.is_some());
        Ok(value)
    }

    async fn put(&self, key: &CacheKey, entry: CacheEntry) -> Result<(), CacheError> {
        entry.check()?;
        let ttl = u64::try_from(entry.ttl.as_millis()).unwrap_or(u64::MAX);
        let (key, value) = (self.key(key), &*entry.value);
        let put: Result<(), _> = if entry.tags.is_empty() {
            self.redis.ask(Cmd::new().arg("SET").arg(key).arg(value).arg("PX").arg(ttl)).await
        } else {
            let mut put = PUT.prepare_invoke();
            put.key(key);
            for tag in &entry.tags {
                put.key(self.tag(tag));
            }
            put.arg(value).arg(ttl);
            self.redis.run(&put).await
        };
        put.map_err(|error| self.failed(error))?;
        self.counters.put();
        Ok(())
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, CacheError> {
        let removed: Result<u64, _> = self.redis.ask(Cmd::new().arg("UNLINK").arg(self.key(key))).await;
        let removed = removed.map_err(|error| self.failed(error))?;
        self.counters.removed(removed);
        Ok(removed > 0)
    }

    async fn invalidate(&self, tag: &CacheTag) -> Result<u64, CacheError> {
        let mut all = 0;
        loop {
            let mut step = INVALIDATE.prepare_invoke();
            step.key(self.tag(tag)).arg(STEP);
            let taken: Result<(u64, u64), _> = self.redis.run(&step).await;
            let (keys, entries) = taken.map_err(|error| self.failed(error))?;
            self.counters.removed(entries);
            all += entries;
            if keys < STEP {
                return Ok(all);
            }
        }
    }

    fn stats(&self) -> CacheStats {
        self.counters.stats()
    }
}
