//! What can be chosen about a cache.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::MAX_TTL;
use crate::clock::Clock;
use crate::seed::Seed;

/// What can be chosen about [`Cached`](super::Cached).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CachedOptions {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) seed: Seed,
    pub(super) capacity: u64,
    pub(super) ttl: Duration,
    pub(super) absent_ttl: Duration,
    pub(super) jitter: f64,
    pub(super) eagerness: f64,
    pub(super) stale_for: Duration,
    pub(super) load_timeout: Duration,
    pub(super) pause: Duration,
    pub(super) max_loads: usize,
}

impl CachedOptions {
    /// Values last for at most `ttl`; `seed` is the root of what is left to chance.
    ///
    /// The defaults: 10,000 keys; absences last a tenth of `ttl`, and at most ten seconds; the last tenth of a time to
    /// live is left to chance; refreshes as early as XFetch proposes; nothing stale; thirty seconds for a load, a
    /// second between two that fail; 1,024 loads at a time.
    #[must_use]
    pub fn new(ttl: Duration, seed: Seed, clock: Arc<dyn Clock>) -> Self {
        let ttl = bounded(ttl);
        Self {
            clock,
            seed,
            capacity: 10_000,
            ttl,
            absent_ttl: bounded((ttl / 10).min(Duration::from_secs(10))),
            jitter: 0.1,
            eagerness: 1.0,
            stale_for: Duration::ZERO,
            load_timeout: Duration::from_secs(30),
            pause: Duration::from_secs(1),
            max_loads: 1_024,
        }
    }

    /// How many keys the first level holds, at least one. Which ones it gives up is up to moka (TinyLFU).
    #[must_use]
    pub fn with_capacity(mut self, keys: u64) -> Self {
        self.capacity = keys.max(1);
        self
    }

    /// How long it is remembered that there is no value.
    #[must_use]
    pub fn with_absent_ttl(mut self, ttl: Duration) -> Self {
        self.absent_ttl = bounded(ttl);
        self
    }

    /// Which part of a time to live is left to chance, 0 to 1: each is shortened by up to that part.
    #[must_use]
    pub fn with_jitter(mut self, part: f64) -> Self {
        self.jitter = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
        self
    }

    /// How early values are refreshed: the *β* of XFetch, 0 to 100. At 1 a load is begun, on average, as long before
    /// the end as it takes; at 0 never before the end.
    #[must_use]
    pub fn with_eagerness(mut self, beta: f64) -> Self {
        self.eagerness = if beta.is_finite() { beta.clamp(0.0, 100.0) } else { 0.0 };
        self
    }

    /// For how long after its end a value is given to readers when the source fails.
    #[must_use]
    pub const fn with_stale_for(mut self, span: Duration) -> Self {
        self.stale_for = span;
        self
    }

    /// How long a load may take.
    #[must_use]
    pub const fn with_load_timeout(mut self, limit: Duration) -> Self {
        self.load_timeout = limit;
        self
    }

    /// How long, after a load failed, readers that have a value to go on with do not cause another.
    #[must_use]
    pub const fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// How many loads may go on at a time, at least one; the others wait, and their time runs meanwhile.
    #[must_use]
    pub fn with_max_loads(mut self, loads: usize) -> Self {
        self.max_loads = loads.clamp(1, 1 << 16);
        self
    }
}

/// What a cache that processes share can bear.
fn bounded(ttl: Duration) -> Duration {
    ttl.clamp(Duration::from_millis(1), MAX_TTL)
}
