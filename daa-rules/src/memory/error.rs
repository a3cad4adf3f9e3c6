//! Why what the rules remember is not available.

use daa_core::action::PolicyError;
use daa_core::event::{AppendError, DecodeError, ReadError};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::StreamId;

use super::tally::CannotCount;
use crate::parameters::SetError;

/// Why what the rules remember is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The store cannot be read.
    #[error("the event store cannot be read")]
    Read(#[from] ReadError),
    /// The store did not take what was found in the journal.
    #[error("the event store did not accept the counts")]
    Append(#[from] AppendError),
    /// An event does not decode.
    #[error("an event of the rules is damaged")]
    Decode(#[from] DecodeError),
    /// An action that the rules permit cannot be counted.
    #[error("{stream} cannot count the action: {why}")]
    Uncountable {
        /// The stream of the count.
        stream: StreamId,
        /// Why not.
        why: String,
    },
    /// It cannot be told whether, or where, an action counts.
    #[error("{counter} cannot count the action: {why}")]
    Undecided {
        /// What counts.
        counter: String,
        /// Why not.
        why: String,
    },
    /// The values of parameters are not available.
    #[error("the parameters cannot be read")]
    Parameters(#[from] SetError),
    /// Other writers were faster every time.
    #[error("gave up after {tries} conflicting writes")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
}

impl MemoryError {
    pub(crate) fn uncountable(stream: &StreamId, why: CannotCount) -> Self {
        Self::Uncountable { stream: stream.clone(), why: why.to_string() }
    }
}

impl From<MemoryError> for PolicyError {
    fn from(error: MemoryError) -> Self {
        Self::new(error)
    }
}

impl Reaction for MemoryError {
    fn fault(&self) -> Fault {
        match self {
            Self::Read(error) => error.fault(),
            Self::Append(error) => error.fault(),
            Self::Decode(error) => error.fault(),
            Self::Parameters(error) => error.fault(),
            Self::Uncountable { .. } | Self::Undecided { .. } => Fault::Caller,
            Self::Contended { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Read(error) => error.retry(),
            Self::Append(error) => error.retry(),
            Self::Decode(error) => error.retry(),
            Self::Parameters(error) => error.retry(),
            Self::Uncountable { .. } | Self::Undecided { .. } | Self::Contended { .. } => Retry::Later,
        }
    }
}
