//! What can go wrong with read models and those who keep them up to date.

use std::error::Error as StdError;

use super::contract::{ModelVersion, Refusal};
use crate::event::{Position, ReadError};
use crate::fault::{Fault, Reaction, Retry};
use crate::id::StreamId;

/// Why a read model did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Another has taken the model further.
    #[error("the model is at position {actual}, the step was from {expected}")]
    Moved {
        /// Where the step began.
        expected: Position,
        /// Where the model is.
        actual: Position,
    },
    /// A higher version has taken the place of this one.
    #[error("version {version} of the projection is superseded by version {by}")]
    Superseded {
        /// This version.
        version: ModelVersion,
        /// The higher one.
        by: ModelVersion,
    },
    /// Nobody has begun to build this version.
    #[error("version {version} of the model is not there")]
    NotBegun {
        /// This version.
        version: ModelVersion,
    },
    /// Readers would go back in time.
    #[error("the new model is at position {position}, the live one at {live} already")]
    Behind {
        /// Where the new one is.
        position: Position,
        /// Where the live one is.
        live: Position,
    },
    /// The projection refuses an event.
    #[error("the projection refuses the event at position {position}")]
    Poison {
        /// Where the event stands.
        position: Position,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// What the projection wants of its engine is refused: its tables or views cannot be made or kept.
    #[error("the engine refuses what the projection is made of")]
    Definition {
        /// What the engine said.
        #[source]
        source: Refusal,
    },
    /// The engine failed, or is away.
    #[error("the read model is unavailable")]
    Unavailable {
        /// What the engine said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// What is there is not what this library wrote.
    #[error("the read model is corrupt: {detail}")]
    Corrupt {
        /// What is wrong.
        detail: String,
    },
}

impl ModelError {
    /// For those who implement a read model: the engine failed.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into() }
    }
}

impl Reaction for ModelError {
    fn fault(&self) -> Fault {
        match self {
            Self::Superseded { .. }
            | Self::NotBegun { .. }
            | Self::Poison { .. }
            | Self::Definition { .. } => Fault::Caller,
            Self::Moved { .. } | Self::Behind { .. } => Fault::Peer,
            Self::Unavailable { .. } | Self::Corrupt { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Superseded { .. }
            | Self::Poison { .. }
            | Self::Definition { .. }
            | Self::Corrupt { .. } => Retry::Never,
            Self::Moved { .. } | Self::NotBegun { .. } => Retry::Now,
            Self::Behind { .. } | Self::Unavailable { .. } => Retry::Later,
        }
    }
}

/// Why a projector cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectorError {
    /// The model does not go on: superseded, corrupt, or an event that the projection refuses, with
    /// [`OnPoison::Stop`](crate::event::OnPoison::Stop). All before that event is in the model.
    #[error("the read model cannot go on")]
    Model(#[from] ModelError),
    /// An event was erased before the model came to it, with [`OnErased::Stop`](super::OnErased::Stop). All before it
    /// is in the model.
    #[error("event {position} of stream {stream} was erased before the model came to it")]
    Erased {
        /// Where the event stands.
        position: Position,
        /// Its stream.
        stream: StreamId,
    },
    /// The model holds events that the store does not have: the store was restored from a backup, or is another one. The
    /// model must be removed, and is then built anew.
    #[error("the read model is at position {position}, but the store ends at {head}")]
    Ahead {
        /// Where the model is.
        position: Position,
        /// The last event of the store.
        head: Position,
    },
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
}

impl Reaction for ProjectorError {
    fn fault(&self) -> Fault {
        match self {
            Self::Model(error) => error.fault(),
            Self::Erased { .. } => Fault::Caller,
            Self::Ahead { .. } => Fault::Environment,
            Self::Read(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Model(error) => error.retry(),
            Self::Erased { .. } | Self::Ahead { .. } => Retry::Never,
            Self::Read(error) => error.retry(),
        }
    }
}
