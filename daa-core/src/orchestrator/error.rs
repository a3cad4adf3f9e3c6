//! Why an orchestrator does not start.

use std::time::Duration;

use super::service::ServiceName;
use crate::event::ReadError;
use crate::fault::{Fault, Reaction, Retry};
use crate::plugin::PluginHostError;

/// Why an orchestrator does not start. Nothing runs then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Two services have one name.
    #[error("there are two services named {name}")]
    DuplicateService {
        /// The name.
        name: ServiceName,
    },
    /// The event store cannot be read.
    #[error("the event store cannot be read")]
    Store(#[from] ReadError),
    /// The event store does not answer.
    #[error("the event store did not answer within {limit:?}")]
    StoreTimedOut {
        /// How long it was waited for.
        limit: Duration,
    },
    /// A plugin did not get ready.
    #[error("the plugins could not be initialised")]
    Plugins(#[from] PluginHostError),
}

impl Reaction for StartError {
    fn fault(&self) -> Fault {
        match self {
            Self::DuplicateService { .. } => Fault::Caller,
            Self::Store(error) => error.fault(),
            Self::StoreTimedOut { .. } => Fault::Environment,
            Self::Plugins(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::DuplicateService { .. } => Retry::Never,
            Self::Store(error) => error.retry(),
            Self::StoreTimedOut { .. } => Retry::Later,
            Self::Plugins(error) => error.retry(),
        }
    }
}
