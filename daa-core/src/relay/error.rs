//! What can go wrong with relays and their messages.

use super::mapping::MappingError;
use crate::bus::BusError;
use crate::event::{AppendError, DecodeError, Position, ReadError};
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{EventKind, IdError, RelayName, StreamId};

/// Why a relay cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The name leaves no room for the names that are made of it.
    #[error("relay name {name} is too long")]
    Name {
        /// The name.
        name: RelayName,
        /// What would not be an id.
        #[source]
        source: IdError,
    },
    /// An event cannot be relayed, and the relay is to stop there. All before it is relayed.
    #[error("event {kind} of stream {stream} at position {position} cannot be relayed")]
    Poison {
        /// Where the event stands.
        position: Position,
        /// Its stream.
        stream: StreamId,
        /// Its kind.
        kind: EventKind,
        /// Why.
        #[source]
        source: Unmappable,
    },
    /// The bus will not take messages any more.
    #[error("the bus takes no messages")]
    Bus(#[source] BusError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
    /// The position cannot be recorded.
    #[error("the position of the relay cannot be recorded")]
    Append(#[from] AppendError),
    /// What is recorded of the relay is not what a relay writes.
    #[error("the record of the relay does not decode")]
    Record(#[from] DecodeError),
}

/// Why an event cannot be relayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unmappable {
    /// The mapping has no message for it.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// No bus takes its message.
    #[error(transparent)]
    Message(#[from] BusError),
}

impl Reaction for RelayError {
    fn fault(&self) -> Fault {
        match self {
            Self::Name { .. } | Self::Poison { .. } => Fault::Caller,
            Self::Bus(error) => error.fault(),
            Self::Read(error) => error.fault(),
            Self::Append(error) => error.fault(),
            Self::Record(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Name { .. } | Self::Poison { .. } => Retry::Never,
            Self::Bus(error) => error.retry(),
            Self::Read(error) => error.retry(),
            Self::Append(error) => error.retry(),
            Self::Record(error) => error.retry(),
        }
    }
}

/// A message that no relay made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRelayed {
    /// It does not say so much about an event.
    #[error("the message has no header {header}")]
    Missing {
        /// What is missing.
        header: &'static str,
    },
    /// What it says is not what a relay writes.
    #[error("header {header} is {value:?}, which no relay writes")]
    Malformed {
        /// Which header.
        header: &'static str,
        /// What is there.
        value: String,
    },
}

impl Reaction for NotRelayed {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}
