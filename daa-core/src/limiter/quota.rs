//! How much, and how often.

use std::num::NonZeroU32;
use std::time::Duration;

use super::error::LimiterError;

/// The largest number of tokens in a quota.
pub const MAX_QUOTA: u32 = 1_000_000;

/// The longest span of a quota: a day.
pub const MAX_SPAN: Duration = Duration::from_secs(86_400);

/// The longest that an empty bucket may take to be full: it keeps every number exact that a Lua script counts with.
const MAX_REFILL: u64 = 366 * 86_400 * 1_000_000;

/// So many tokens per span of time, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    tokens: u32,
    span: u64,
    burst: u32,
}

impl Quota {
    /// Allows `tokens` per `span`, and all of them at once after a pause. Brought into 1 to 1,000,000 tokens per one
    /// millisecond to one day, in whole microseconds.
    #[must_use]
    pub fn new(tokens: u32, span: Duration) -> Self {
        let tokens = tokens.clamp(1, MAX_QUOTA);
        let span = span.clamp(Duration::from_millis(1), MAX_SPAN);
        Self { tokens, span: u64::try_from(span.as_micros()).unwrap_or(u64::MAX), burst: tokens }
    }

    /// How many may be taken at once after a pause: 1 to 1,000,000, and no more than come in a year.
    #[must_use]
    pub fn with_burst(mut self, tokens: u32) -> Self {
        let refilled = u128::from(MAX_REFILL) * u128::from(self.tokens) / u128::from(self.span);
        let most = u32::try_from(refilled).unwrap_or(u32::MAX).clamp(1, MAX_QUOTA);
        self.burst = tokens.clamp(1, most);
        self
    }

    /// How many tokens come back in each [span](Self::span).
    #[must_use]
    pub const fn tokens(&self) -> u32 {
        self.tokens
    }

    /// In how long they come back.
    #[must_use]
    pub const fn span(&self) -> Duration {
        Duration::from_micros(self.span)
    }

    /// How many the bucket holds.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// For those who implement a limiter: whether so many tokens can ever be granted.
    ///
    /// # Errors
    /// [`LimiterError::BeyondBurst`].
    pub const fn check(&self, tokens: NonZeroU32) -> Result<(), LimiterError> {
        let burst = self.burst;
        if tokens.get() > burst { Err(LimiterError::BeyondBurst { tokens, burst }) } else { Ok(()) }
    }

    /// [`Self::span`] in microseconds.
    pub(super) const fn micros(&self) -> u64 {
        self.span
    }
}
