//! Why a reader got nothing.

use std::sync::Arc;
use std::time::Duration;

use super::source::SourceError;
use crate::fault::{Fault, Reaction, Retry};

/// Why a value could not be loaded. All who waited for the load get the same one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The source failed.
    #[error("the value cannot be loaded")]
    Source {
        /// What it said.
        #[source]
        source: Arc<SourceError>,
    },
    /// The source took too long.
    #[error("the value was not loaded within {limit:?}")]
    TimedOut {
        /// How long it was given.
        limit: Duration,
    },
    /// The source panicked, or the runtime was shut down.
    #[error("the load broke off")]
    BrokenOff,
}

impl Reaction for LoadError {
    fn fault(&self) -> Fault {
        match self {
            Self::Source { .. } | Self::TimedOut { .. } => Fault::Environment,
            Self::BrokenOff => Fault::Bug,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Source { .. } | Self::TimedOut { .. } => Retry::Later,
            Self::BrokenOff => Retry::Never,
        }
    }
}
