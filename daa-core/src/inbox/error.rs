//! What can go wrong at an inbox.

use crate::event::{AppendError, DecodeError, Position, ReadError};
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{IdError, InboxName, OrderingKey};
use crate::relay::NotRelayed;

/// Why a message was not admitted, or its effect not committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The name leaves no room for the names that are made of it.
    #[error("inbox name {name} is too long")]
    Name {
        /// The name.
        name: InboxName,
        /// What would not be an id.
        #[source]
        source: IdError,
    },
    /// No relay made the message: it says no position by which it could be known again.
    #[error("the message is not of a relay")]
    NotRelayed(#[from] NotRelayed),
    /// It is so much older than what was handled since that it cannot be told whether it was handled. Reject it, so
    /// that it becomes a dead letter that somebody looks at.
    #[error(
        "the message at position {position} of key {key} is too old to tell whether it was handled: it would have to be after {floor}"
    )]
    TooOld {
        /// Its key.
        key: OrderingKey,
        /// The position of its event.
        position: Position,
        /// Everything after this position is known.
        floor: Position,
    },
    /// The marks cannot be read.
    #[error("the marks of the inbox cannot be read")]
    Read(#[from] ReadError),
    /// Effect and mark were not appended. After [`AppendError::Unconfirmed`] they may be there; admit the message again
    /// to know.
    #[error("the effect was not appended")]
    Append(#[from] AppendError),
    /// A mark is not what an inbox writes.
    #[error("a mark of the inbox does not decode")]
    Mark(#[from] DecodeError),
}

impl Reaction for InboxError {
    fn fault(&self) -> Fault {
        match self {
            Self::Name { .. } => Fault::Caller,
            Self::NotRelayed(error) => error.fault(),
            Self::TooOld { .. } => Fault::Peer,
            Self::Read(error) => error.fault(),
            Self::Append(error) => error.fault(),
            Self::Mark(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Name { .. } | Self::TooOld { .. } => Retry::Never,
            Self::NotRelayed(error) => error.retry(),
            Self::Read(error) => error.retry(),
            Self::Append(error) => error.retry(),
            Self::Mark(error) => error.retry(),
        }
    }
}
