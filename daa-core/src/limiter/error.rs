//! What can go wrong at a rate limiter.

use std::error::Error as StdError;
use std::num::NonZeroU32;

use crate::fault::{Fault, Reaction, Retry};

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LimiterError {
    /// More tokens than the bucket can hold: they would never be granted.
    #[error("{tokens} tokens at once, the bucket holds {burst}")]
    BeyondBurst {
        /// How many were asked for.
        tokens: NonZeroU32,
        /// How many the bucket holds.
        burst: u32,
    },
    /// There are too many keys whose buckets are not full.
    #[error("the limiter counts {limit} keys already")]
    TooManyKeys {
        /// How many it can count.
        limit: usize,
    },
    /// The limiter cannot be reached, or does not answer in time. The tokens may have been taken.
    #[error("the rate limiter is unavailable")]
    Unavailable {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl LimiterError {
    /// For those who implement a limiter: it is away.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into() }
    }
}

impl Reaction for LimiterError {
    fn fault(&self) -> Fault {
        match self {
            Self::BeyondBurst { .. } => Fault::Caller,
            Self::TooManyKeys { .. } | Self::Unavailable { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::BeyondBurst { .. } => Retry::Never,
            Self::TooManyKeys { .. } | Self::Unavailable { .. } => Retry::Later,
        }
    }
}
