//! The rate limiter.

use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use daa_core::id::LimitKey;
use daa_core::limiter::{Decision, FullAt, LimiterError, Quota, RateLimiter, Verdict, left, retry_after};
use redis::Script;

use super::server::Redis;

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/take.lua")));

/// A [`RateLimiter`] on Redis, for all processes that use the same name space. It decides by the server's clock, in
/// microseconds; a bucket that is full takes no room. When the server loses what it acknowledged last, buckets are
/// fuller than they should be.
#[derive(Clone, Debug)]
pub struct RedisRateLimiter {
    redis: Redis,
}

impl RedisRateLimiter {
    /// The limits of `redis`'s name space.
    #[must_use]
    pub const fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl RateLimiter for RedisRateLimiter {
    async fn take(&self, key: &LimitKey, quota: Quota, tokens: NonZeroU32) -> Result<Decision, LimiterError> {
        quota.check(tokens)?;
        let mut take = TAKE.prepare_invoke();
        take.key(self.redis.namespace().key("limit", key.as_str().as_bytes()))
            .arg(quota.tokens())
            .arg(u64::try_from(quota.span().as_micros()).unwrap_or(u64::MAX))
            .arg(quota.burst())
            .arg(tokens.get());
        let (granted, now, micros, part): (bool, u64, u64, u32) =
            self.redis.run(&take).await.map_err(LimiterError::unavailable)?;
        let full_at = FullAt { micros, part, of: quota.tokens() };
        let verdict = if granted {
            Verdict::Granted { left: left(quota, full_at, now) }
        } else {
            Verdict::Refused { retry_after: retry_after(quota, full_at, now, tokens) }
        };
        Ok(Decision::new(verdict, Duration::from_micros(now)))
    }
}
