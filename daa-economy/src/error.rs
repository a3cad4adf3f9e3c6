//! What can go wrong at a ledger.

use daa_core::event::{AppendError, DecodeError, ReadError, Version};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::{EventKind, IdError};

use crate::rejection::Rejection;

/// Why the ledger did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The books refuse it; nothing changed.
    #[error("the ledger refuses")]
    Rejected(#[from] Rejection),
    /// Other writers were faster every time; nothing changed.
    #[error("gave up after {tries} conflicting writes")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// The store did not take the events.
    #[error("the event store did not accept the change")]
    Append(#[from] AppendError),
    /// The store cannot be read.
    #[error("the event store cannot be read")]
    Read(#[from] ReadError),
    /// An event does not decode.
    #[error("the ledger is damaged")]
    Decode(#[from] DecodeError),
    /// An event that is not one of the ledger's, or of a later version of it.
    #[error("the ledger has an event of kind {kind} at version {version}, which this version does not know")]
    UnknownEvent {
        /// Its kind.
        kind: EventKind,
        /// Where it stands.
        version: Version,
    },
    /// An event that no books would have written: somebody else wrote to the stream.
    #[error("the ledger is inconsistent at version {version}")]
    Inconsistent {
        /// Where the event stands.
        version: Version,
        /// Why it cannot be.
        #[source]
        source: Rejection,
    },
}

impl From<IdError> for LedgerError {
    fn from(error: IdError) -> Self {
        Self::Rejected(error.into())
    }
}

impl Reaction for LedgerError {
    fn fault(&self) -> Fault {
        match self {
            Self::Rejected(rejection) => rejection.fault(),
            Self::Contended { .. } => Fault::Environment,
            Self::UnknownEvent { .. } | Self::Inconsistent { .. } => Fault::Environment,
            Self::Append(error) => error.fault(),
            Self::Read(error) => error.fault(),
            Self::Decode(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Rejected(rejection) => rejection.retry(),
            Self::Contended { .. } => Retry::Later,
            Self::UnknownEvent { .. } | Self::Inconsistent { .. } => Retry::Never,
            Self::Append(error) => error.retry(),
            Self::Read(error) => error.retry(),
            Self::Decode(error) => error.retry(),
        }
    }
}
