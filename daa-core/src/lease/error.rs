//! What can go wrong with leases.

use std::error::Error as StdError;
use std::time::Duration;

use super::contract::MAX_LEASE;
use super::fence::FencingToken;
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{HolderId, LeaseName};

/// Why a lease was not given, extended or released.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Another has it.
    #[error("{name} is held by {by} for {remaining:?}")]
    Held {
        /// What was asked for.
        name: LeaseName,
        /// Who has it.
        by: HolderId,
        /// For how long, unless it is renewed or released.
        remaining: Duration,
    },
    /// It is over, released, or acquired anew.
    #[error("the lease of {name} with token {token} is over")]
    Lost {
        /// What it was a lease of.
        name: LeaseName,
        /// Its token.
        token: FencingToken,
    },
    /// Too short, or too long a time.
    #[error("a lease lasts between 1ms and {MAX_LEASE:?}, not {ttl:?}")]
    Ttl {
        /// What was asked for.
        ttl: Duration,
    },
    /// Whoever keeps the leases cannot be reached, or does not answer in time. What was asked for may have happened.
    #[error("the leases are unavailable")]
    Unavailable {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl LeaseError {
    /// For those who implement leases: they are away.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into() }
    }
}

impl Reaction for LeaseError {
    fn fault(&self) -> Fault {
        match self {
            Self::Ttl { .. } => Fault::Caller,
            Self::Held { .. } | Self::Lost { .. } => Fault::Peer,
            Self::Unavailable { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Held { remaining, .. } => Retry::After(*remaining),
            Self::Lost { .. } | Self::Ttl { .. } => Retry::Never,
            Self::Unavailable { .. } => Retry::Later,
        }
    }
}
