//! A source that is told what to do, and a second level that can be away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::cache::cached::{Cached, CachedOptions, SecondLevel, Source, SourceError};
use daa_core::cache::{Cache, CacheEntry, CacheError, CacheKey, CacheStats, MemoryCache};
use daa_core::clock::{Clock, Timestamp, VirtualClock};
use daa_core::id::CacheTag;
use daa_core::seed::Seed;

pub(crate) const TTL: Duration = Duration::from_secs(10);

/// The truth: a version of each key, or none.
#[derive(Debug)]
pub(crate) struct Truth {
    clock: Arc<dyn Clock>,
    versions: Mutex<HashMap<u32, u64>>,
    takes: AtomicU64,
    fails: AtomicBool,
    panics: AtomicBool,
    pub(crate) loads: AtomicU64,
    loading: AtomicU64,
    pub(crate) most_at_once: AtomicU64,
}

impl Truth {
    pub(crate) fn set(&self, key: u32, version: u64) {
        self.versions.lock().unwrap().insert(key, version);
    }

    pub(crate) fn takes(&self, span: Duration) {
        self.takes.store(span.as_millis() as u64, Ordering::Relaxed);
    }

    pub(crate) fn fails(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    pub(crate) fn panics(&self, panics: bool) {
        self.panics.store(panics, Ordering::Relaxed);
    }

    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }
}

/// The truth as a source. What is read is what was there when the load began.
#[derive(Debug)]
pub(crate) struct FromTruth(pub(crate) Arc<Truth>);

#[async_trait]
impl Source<u32, u64> for FromTruth {
    async fn load(&self, key: &u32) -> Result<Option<u64>, SourceError> {
        let truth = &*self.0;
        truth.loads.fetch_add(1, Ordering::Relaxed);
        let loading = truth.loading.fetch_add(1, Ordering::Relaxed) + 1;
        truth.most_at_once.fetch_max(loading, Ordering::Relaxed);
        let version = truth.versions.lock().unwrap().get(key).copied();
        truth.clock.sleep(Duration::from_millis(truth.takes.load(Ordering::Relaxed))).await;
        truth.loading.fetch_sub(1, Ordering::Relaxed);
        assert!(!truth.panics.load(Ordering::Relaxed), "as told");
        if truth.fails.load(Ordering::Relaxed) { Err("as told".into()) } else { Ok(version) }
    }

    fn tags(&self, key: &u32) -> Vec<CacheTag> {
        vec![tag(if key.is_multiple_of(2) { "even" } else { "odd" })]
    }
}

pub(crate) fn tag(text: &str) -> CacheTag {
    CacheTag::new(text).unwrap()
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) truth: Arc<Truth>,
    pub(crate) shared: Arc<Unsteady>,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)));
        let truth = Truth {
            clock: clock.clone(),
            versions: Mutex::default(),
            takes: AtomicU64::new(0),
            fails: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            loads: AtomicU64::new(0),
            loading: AtomicU64::new(0),
            most_at_once: AtomicU64::new(0),
        };
        let shared = Unsteady {
            cache: MemoryCache::new(64 << 20, clock.clone()),
            clock: clock.clone(),
            state: Mutex::new(State::Up),
            calls: AtomicU64::new(0),
        };
        Self { clock, truth: Arc::new(truth), shared: Arc::new(shared) }
    }

    /// Nothing left to chance: neither jitter nor early refreshes.
    pub(crate) fn options(&self) -> CachedOptions {
        let seed = Seed::from_u64(7);
        CachedOptions::new(TTL, seed, self.clock.clone()).with_jitter(0.0).with_eagerness(0.0)
    }

    pub(crate) fn cached(&self, options: CachedOptions) -> Cached<u32, u64> {
        Cached::new(FromTruth(self.truth.clone()), options)
    }

    /// Another process, with the same second level.
    pub(crate) fn process(&self, options: CachedOptions) -> Cached<u32, u64> {
        let second = SecondLevel::new("truth", self.shared.clone(), u32::to_string);
        Cached::with_second_level(FromTruth(self.truth.clone()), options, second)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    /// Says so at once.
    Down,
    /// Never answers.
    Silent,
}

/// A cache that can be away.
#[derive(Debug)]
pub(crate) struct Unsteady {
    pub(crate) cache: MemoryCache,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    pub(crate) calls: AtomicU64,
}

impl Unsteady {
    pub(crate) fn is(&self, state: State) {
        *self.state.lock().unwrap() = state;
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    async fn answer(&self) -> Result<(), CacheError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let state = *self.state.lock().unwrap();
        match state {
            State::Up => {
                self.clock.sleep(Duration::from_millis(1)).await;
                Ok(())
            }
            State::Down => Err(CacheError::unavailable("down")),
            State::Silent => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Cache for Unsteady {
    async fn get(&self, key: &CacheKey) -> Result<Option<Bytes>, CacheError> {
        self.answer().await?;
        self.cache.get(key).await
    }

    async fn put(&self, key: &CacheKey, entry: CacheEntry) -> Result<(), CacheError> {
        self.answer().await?;
        self.cache.put(key, entry).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, CacheError> {
        self.answer().await?;
        self.cache.remove(key).await
    }

    async fn invalidate(&self, tag: &CacheTag) -> Result<u64, CacheError> {
        self.answer().await?;
        self.cache.invalidate(tag).await
    }

    fn stats(&self) -> CacheStats {
        self.cache.stats()
    }
}
