//! The level that processes share, and how to do without it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::envelope::{decode, encode};
use super::slot::Life;
use super::stats::Counters;
use crate::cache::{Cache, CacheEntry, CacheError, CacheKey};
use crate::clock::{Clock, Timestamp};
use crate::id::CacheTag;
use crate::resilience::{Breaker, BreakerPhase, BreakerPolicy, Observation, within};

/// How many invalidations are remembered that the second level has not heard of.
const MAX_OWED: usize = 4_096;

/// How many of them it is told at the same time.
const SETTLED_AT_ONCE: usize = 64;

/// A value, or that there is none, and when that ends.
pub(super) type Found<V> = (Option<V>, Life);

type KeyText<K> = Box<dyn Fn(&K) -> String + Send + Sync>;

/// A [`Cache`] that processes share, as the second level of a [`Cached`](super::Cached): values as JSON.
pub struct SecondLevel<K, V> {
    cache: Arc<dyn Cache>,
    name: String,
    key: KeyText<K>,
    encode: fn(Option<&V>, Life) -> Option<Bytes>,
    decode: fn(&[u8]) -> Option<Found<V>>,
    timeout: Duration,
    breaker: BreakerPolicy,
}

impl<K, V> fmt::Debug for SecondLevel<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondLevel")
            .field("name", &self.name)
            .field("cache", &self.cache)
            .field("timeout", &self.timeout)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

impl<K, V: Serialize + DeserializeOwned> SecondLevel<K, V> {
    /// Uses `cache`, under keys that begin with `name` and go on with what `key` says. Different keys must say different
    /// things; where that is long, its digest is used. What has another meaning, or another form, needs another name.
    ///
    /// A call may take 50 ms, and after three failures in a row there is none for a second.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        cache: Arc<dyn Cache>,
        key: impl Fn(&K) -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            cache,
            name: name.into(),
            key: Box::new(key),
            encode,
            decode,
            timeout: Duration::from_millis(50),
            breaker: BreakerPolicy::consecutive(3).with_open_for(Duration::from_secs(1)),
        }
    }
}

impl<K, V> SecondLevel<K, V> {
    /// How long a call may take.
    #[must_use]
    pub const fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// When it counts as away, and for how long before it is tried again.
    #[must_use]
    pub const fn with_breaker(mut self, policy: BreakerPolicy) -> Self {
        self.breaker = policy;
        self
    }
}

/// How a second level is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecondLevelHealth {
    /// Where its breaker stands: open means that readers do without it.
    pub breaker: BreakerPhase,
    /// How many invalidations it has not heard of yet. Until it has, nothing is read from it.
    pub owed: usize,
}

impl SecondLevelHealth {
    /// Whether it is used.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.breaker, BreakerPhase::Closed) && self.owed == 0
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Key(CacheKey),
    Tag(CacheTag),
}

/// Invalidations that the second level has not heard of.
#[derive(Debug, Default)]
struct Owed {
    targets: VecDeque<Target>,
    /// There were too many: by then all entries have ended that should have been invalidated.
    blind_until: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Second<K, V> {
    level: SecondLevel<K, V>,
    clock: Arc<dyn Clock>,
    /// The longest that an entry lasts.
    ttl: Duration,
    breaker: Mutex<Breaker>,
    owed: Mutex<Owed>,
    settling: tokio::sync::Mutex<()>,
    counters: Arc<Counters>,
}

impl<K, V> Second<K, V> {
    pub(super) fn new(
        level: SecondLevel<K, V>,
        clock: Arc<dyn Clock>,
        ttl: Duration,
        counters: Arc<Counters>,
    ) -> Self {
        let breaker = Mutex::new(Breaker::new(level.breaker));
        Self { level, clock, ttl, breaker, owed: Mutex::default(), settling: Default::default(), counters }
    }

    pub(super) fn key(&self, key: &K) -> CacheKey {
        let text = format!("{}/{}", self.level.name, (self.level.key)(key));
        CacheKey::new(text.clone()).unwrap_or_else(|_| CacheKey::of_digest(text.as_bytes()))
    }

    pub(super) fn health(&self) -> SecondLevelHealth {
        let owed = self.owed();
        let owed = owed.targets.len() + usize::from(owed.blind_until.is_some());
        SecondLevelHealth { breaker: whole(&self.breaker).phase(), owed }
    }

    /// What is there, if it has not ended.
    pub(super) async fn get(&self, key: &CacheKey) -> Option<Found<V>> {
        if !self.is_settled().await {
            self.counters.second_skipped.count();
            return None;
        }
        let Some(bytes) = self.call(self.level.cache.get(key)).await? else {
            self.counters.second_misses.count();
            return None;
        };
        let Some((value, mut life)) = (self.level.decode)(&bytes) else {
            self.counters.undecodable.count();
            return None;
        };
        let now = self.clock.now();
        // Written by another's clock.
        life.until = life.until.min(now + self.ttl);
        if life.until <= now {
            self.counters.second_misses.count();
            return None;
        }
        self.counters.second_hits.count();
        Some((value, life))
    }

    pub(super) async fn put(&self, key: &CacheKey, value: Option<&V>, life: Life, tags: &[CacheTag]) {
        let ttl = life.until.since(self.clock.now());
        let Some(bytes) = (self.level.encode)(value, life) else { return };
        if ttl.is_zero() {
            return;
        }
        if !self.is_settled().await {
            self.counters.second_skipped.count();
            return;
        }
        let entry = CacheEntry::new(bytes, ttl).with_tags(tags.iter().cloned());
        self.call(self.level.cache.put(key, entry)).await;
    }

    /// Takes something away: now, or before anything is read again.
    pub(super) async fn forget(&self, target: Target) {
        {
            let mut owed = self.owed();
            if owed.blind_until.is_none() && owed.targets.len() < MAX_OWED {
                owed.targets.push_back(target);
            } else {
                owed.targets.clear();
                owed.blind_until = Some(self.clock.now() + self.ttl);
            }
        }
        self.is_settled().await;
    }

    /// Whether all invalidations have arrived; tries to make up for those that have not.
    async fn is_settled(&self) -> bool {
        {
            let mut owed = self.owed();
            owed.blind_until = owed.blind_until.filter(|until| *until > self.clock.now());
            if owed.blind_until.is_some() {
                return false;
            }
            if owed.targets.is_empty() {
                return true;
            }
        }
        within(&*self.clock, self.level.timeout, self.settle()).await.unwrap_or(false)
    }

    async fn settle(&self) -> bool {
        let _one_at_a_time = self.settling.lock().await;
        // The first alone: it may be the one trial of a breaker that is half open.
        let mut at_once = 1;
        loop {
            let targets: Vec<_> = self.owed().targets.iter().take(at_once).cloned().collect();
            if targets.is_empty() {
                return true;
            }
            let heard = join_all(targets.iter().map(|target| self.tell(target))).await;
            if heard.contains(&false) {
                return false;
            }
            let mut owed = self.owed();
            for target in &targets {
                // Unless there were too many meanwhile.
                if owed.targets.front() == Some(target) {
                    owed.targets.pop_front();
                }
            }
            at_once = SETTLED_AT_ONCE;
        }
    }

    async fn tell(&self, target: &Target) -> bool {
        match target {
            Target::Key(key) => self.call(self.level.cache.remove(key)).await.is_some(),
            Target::Tag(tag) => self.call(self.level.cache.invalidate(tag)).await.is_some(),
        }
    }

    /// The answer of the cache; `None` when it is away.
    async fn call<T>(&self, call: impl Future<Output = Result<T, CacheError>>) -> Option<T> {
        let admitted = whole(&self.breaker).admit(self.clock.now());
        let Ok(ticket) = admitted else {
            self.counters.second_skipped.count();
            return None;
        };
        let answer = within(&*self.clock, self.level.timeout, call).await;
        let observation = match &answer {
            Some(Ok(_)) => Observation::Success,
            Some(Err(CacheError::Unavailable { .. })) | None => Observation::Failure,
            Some(Err(_)) => Observation::Neutral,
        };
        whole(&self.breaker).record(ticket, observation, self.clock.now());
        let answer = answer.and_then(Result::ok);
        if answer.is_none() {
            self.counters.second_errors.count();
        }
        answer
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        whole(&self.owed)
    }
}

/// Nothing panics between two changes of what these locks guard, so a poisoned one still guards a whole.
fn whole<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
