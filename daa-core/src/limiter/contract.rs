//! The contract of a rate limiter.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;

use super::error::LimiterError;
use super::quota::Quota;
use crate::id::LimitKey;

/// What became of a request for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They were taken.
    Granted {
        /// How many more could be taken at the same moment.
        left: u32,
    },
    /// Nothing was taken.
    Refused {
        /// After how long there are enough, if nobody else takes any.
        retry_after: Duration,
    },
}

/// What a limiter decided, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the tokens were taken.
    pub verdict: Verdict,
    /// When, by the limiter's clock: since the Unix epoch, in whole microseconds.
    pub at: Duration,
}

impl Decision {
    /// For those who implement a limiter.
    #[must_use]
    pub const fn new(verdict: Verdict, at: Duration) -> Self {
        Self { verdict, at }
    }

    /// Whether the tokens were taken.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        matches!(self.verdict, Verdict::Granted { .. })
    }
}

/// Grants tokens, to all processes that ask.
///
/// # Contract
///
/// An implementation must, for each key by itself:
/// - decide by one clock, its own, and say when it decided;
/// - decide as [`decide`](super::decide) does, in one step that no other request comes between;
/// - forget a key whose bucket is full.
///
/// A key that is used with another quota keeps the time at which its bucket is full, rounded against who asks, and is
/// empty at worst.
///
/// Whoever cannot reach it gets an error, not a verdict; whether that means yes or no is the caller's to choose.
///
/// The suite in `limiter::testing` (feature `test-util`) checks that; every implementation runs it.
#[async_trait]
pub trait RateLimiter: Send + Sync + fmt::Debug {
    /// Takes `tokens` of `key`'s bucket, all of them or none.
    ///
    /// # Errors
    /// [`LimiterError::Unavailable`]: they may have been taken.
    ///
    /// # Cancel safety
    /// A dropped future leaves them taken or not.
    async fn take(&self, key: &LimitKey, quota: Quota, tokens: NonZeroU32) -> Result<Decision, LimiterError>;
}
