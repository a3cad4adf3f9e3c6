//! The rate limiter within one process.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::contract::{Decision, RateLimiter};
use super::error::LimiterError;
use super::gcra::{FullAt, decide};
use super::quota::Quota;
use crate::clock::Clock;
use crate::id::LimitKey;

/// How many buckets that are not full are counted at most.
const MAX_KEYS: usize = 1 << 20;

/// A [`RateLimiter`] in memory; clones share it. It counts up to a million keys whose buckets are not full.
#[derive(Clone, Debug)]
pub struct MemoryRateLimiter {
    clock: Arc<dyn Clock>,
    buckets: Arc<Mutex<Buckets>>,
}

#[derive(Debug, Default)]
struct Buckets {
    full_at: HashMap<LimitKey, FullAt>,
    /// With so many buckets the full ones are looked for.
    sweep_at: usize,
}

impl MemoryRateLimiter {
    /// Full buckets only, by the time of `clock`, which tells whole milliseconds.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, buckets: Arc::default() }
    }
}

impl Buckets {
    fn sweep(&mut self, now: u64) -> Result<(), LimiterError> {
        if self.full_at.len() < self.sweep_at {
            return Ok(());
        }
        self.full_at.retain(|_, full| full.micros >= now);
        if self.full_at.len() >= MAX_KEYS {
            return Err(LimiterError::TooManyKeys { limit: MAX_KEYS });
        }
        self.sweep_at = (2 * self.full_at.len()).clamp(64, MAX_KEYS);
        Ok(())
    }
}

#[async_trait]
impl RateLimiter for MemoryRateLimiter {
    async fn take(&self, key: &LimitKey, quota: Quota, tokens: NonZeroU32) -> Result<Decision, LimiterError> {
        quota.check(tokens)?;
        // Nothing panics between two changes, so a poisoned lock still guards a whole.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().as_millis().saturating_mul(1_000);
        let before = buckets.full_at.get(key).copied();
        if before.is_none() {
            buckets.sweep(now)?;
        }
        let (verdict, after) = decide(quota, before.unwrap_or_default(), now, tokens);
        buckets.full_at.insert(key.clone(), after);
        Ok(Decision::new(verdict, Duration::from_micros(now)))
    }
}
