//! What can go wrong at a cache.

use std::error::Error as StdError;
use std::time::Duration;

use super::entry::MAX_TTL;
use crate::fault::{Fault, Reaction, Retry};

/// Why a cache did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A bound was passed.
    #[error("{actual} {what}, at most {limit} are allowed")]
    TooLarge {
        /// What there was too much of.
        what: &'static str,
        /// How much.
        actual: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// A key without a byte.
    #[error("a key has at least one byte")]
    EmptyKey,
    /// Too short, or too long a time.
    #[error("an entry lasts between 1ms and {MAX_TTL:?}, not {ttl:?}")]
    Ttl {
        /// What was asked for.
        ttl: Duration,
    },
    /// The cache cannot be reached, or does not answer in time.
    #[error("the cache is unavailable")]
    Unavailable {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl CacheError {
    /// For those who implement a cache: it is away.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into() }
    }
}

impl Reaction for CacheError {
    fn fault(&self) -> Fault {
        match self {
            Self::TooLarge { .. } | Self::EmptyKey | Self::Ttl { .. } => Fault::Caller,
            Self::Unavailable { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::TooLarge { .. } | Self::EmptyKey | Self::Ttl { .. } => Retry::Never,
            Self::Unavailable { .. } => Retry::Later,
        }
    }
}
