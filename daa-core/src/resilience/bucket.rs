//! The state machine of a rate limit.

use std::time::Duration;

use crate::clock::Timestamp;

const NANOS_PER_MILLI: u128 = 1_000_000;

/// How often something may happen, and how long a caller waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatePolicy {
    /// Nanoseconds from one token to the next.
    interval: u128,
    burst: u32,
    max_wait: Duration,
}

impl RatePolicy {
    /// Allows `actions` per `span`, evenly spread, and by default without waiting and without bursts. At least
    /// one action, and no faster than one per nanosecond.
    #[must_use]
    pub fn new(actions: u32, span: Duration) -> Self {
        let interval = span.as_nanos().div_ceil(u128::from(actions.max(1))).max(1);
        Self { interval, burst: 1, max_wait: Duration::ZERO }
    }

    /// How many actions may come at once after a pause; at least one.
    #[must_use]
    pub fn with_burst(mut self, actions: u32) -> Self {
        self.burst = actions.max(1);
        self
    }

    /// How long an action waits for its turn before it is refused; by default not at all.
    #[must_use]
    pub const fn with_max_wait(mut self, span: Duration) -> Self {
        self.max_wait = span;
        self
    }
}

/// A token bucket, counted in whole nanoseconds: it holds up to a burst of tokens, one comes back per interval,
/// and tokens of the near future can be reserved.
///
/// It is kept as the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371).
///
/// ```
/// # use std::time::Duration;
/// # use daa_core::clock::Timestamp;
/// # use daa_core::resilience::*;
/// let mut bucket = TokenBucket::new(RatePolicy::new(10, Duration::from_secs(1)));
/// let now = Timestamp::from_millis(5);
/// assert_eq!(bucket.take(now), Ok(now));
/// assert_eq!(bucket.take(now), Err(Duration::from_millis(100)));
/// ```
#[derive(Debug)]
pub struct TokenBucket {
    policy: RatePolicy,
    /// Nanoseconds since the epoch.
    full_at: u128,
}

impl TokenBucket {
    /// A full one.
    #[must_use]
    pub const fn new(policy: RatePolicy) -> Self {
        Self { policy, full_at: 0 }
    }

    /// Takes a token and says when it may be used: now, or within the time that the policy lets a caller wait.
    ///
    /// # Errors
    /// How long to wait before there is a token, in whole milliseconds, rounded up; nothing is taken.
    pub fn take(&mut self, now: Timestamp) -> Result<Timestamp, Duration> {
        let nanos = u128::from(now.as_millis()) * NANOS_PER_MILLI;
        let RatePolicy { interval, burst, max_wait } = self.policy;
        let full_at = self.full_at.max(nanos).saturating_add(interval);
        let ready_at = full_at.saturating_sub(interval.saturating_mul(u128::from(burst)));
        let wait = millis_up(ready_at.saturating_sub(nanos));
        if wait > max_wait {
            return Err(wait);
        }
        self.full_at = full_at;
        Ok(now + wait)
    }
}

/// Whole milliseconds, which is what clocks count in; rounded up, so that nobody comes too early.
fn millis_up(nanos: u128) -> Duration {
    Duration::from_millis(u64::try_from(nanos.div_ceil(NANOS_PER_MILLI)).unwrap_or(u64::MAX))
}
