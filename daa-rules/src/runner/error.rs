//! Why a pass of the runner did not come to its end.

use daa_core::action::{ActionError, GateError, PolicyError};
use daa_core::event::{AppendError, DecodeError, ReadError};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::IdError;

use crate::memory::MemoryError;
use crate::parameters::SetError;
use crate::trigger::NoStimulus;

/// Why a pass of the runner did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// Another runner of this name has taken over.
    #[error("another runner named {name:?} has taken over")]
    Superseded {
        /// The name.
        name: String,
    },
    /// The store cannot be read.
    #[error("the event store cannot be read")]
    Read(#[from] ReadError),
    /// The store did not take what the rules did.
    #[error("the event store did not accept what the rules did")]
    Append(#[from] AppendError),
    /// The state does not decode, or an event cannot be written.
    #[error("an event of the runner is damaged")]
    Decode(#[from] DecodeError),
    /// The state was written by a newer version.
    #[error("the state of the runner is written in format {format}, which this version does not know")]
    TooNew {
        /// The format.
        format: u32,
    },
    /// Where an action stands that an event is about cannot be read.
    #[error("the journal of an action cannot be read")]
    Gate(#[from] GateError),
    /// What the rules remember is not available.
    #[error("what the rules remember is not available")]
    Memory(#[from] MemoryError),
    /// What the rules count could not be brought up to date.
    #[error("what the rules count cannot be brought up to date")]
    Policy(#[from] PolicyError),
    /// The values of parameters are not available.
    #[error("the parameters are not available")]
    Parameters(#[from] SetError),
    /// Others set parameters at the same time every time.
    #[error("gave up after {tries} conflicting writes")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// A constant of this library is not an id.
    #[error("a stream or an event has no valid name")]
    Name(#[from] IdError),
    /// A constant of this library is no action.
    #[error("what stands for an event is no action")]
    Action(#[from] ActionError),
    /// The state was not read before it was used.
    #[error("the state of the runner was not read")]
    NotLoaded,
}

impl From<NoStimulus> for RunnerError {
    fn from(error: NoStimulus) -> Self {
        match error {
            NoStimulus::Name(error) => error.into(),
            NoStimulus::Action(error) => error.into(),
        }
    }
}

impl RunnerError {
    /// Whether going on is of no use.
    pub(super) fn is_final(&self) -> bool {
        self.retry() == Retry::Never
    }
}

impl Reaction for RunnerError {
    fn fault(&self) -> Fault {
        match self {
            Self::Superseded { .. } | Self::TooNew { .. } => Fault::Caller,
            Self::Read(error) => error.fault(),
            Self::Append(error) => error.fault(),
            Self::Decode(error) => error.fault(),
            Self::Gate(error) => error.fault(),
            Self::Memory(error) => error.fault(),
            Self::Policy(error) => error.fault(),
            Self::Parameters(error) => error.fault(),
            Self::Contended { .. } => Fault::Environment,
            Self::Name(_) | Self::Action(_) | Self::NotLoaded => Fault::Bug,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Superseded { .. } | Self::TooNew { .. } => Retry::Never,
            Self::Read(error) => error.retry(),
            Self::Append(error) => error.retry(),
            Self::Decode(error) => error.retry(),
            Self::Gate(error) => error.retry(),
            Self::Memory(error) => error.retry(),
            Self::Policy(error) => error.retry(),
            Self::Parameters(error) => error.retry(),
            Self::Contended { .. } => Retry::Later,
            Self::Name(_) | Self::Action(_) | Self::NotLoaded => Retry::Never,
        }
    }
}
