//! The log's own stream: how far it is, with which key. Its version is the fence between two who would both go on.

use daa_core::clock::Timestamp;
use daa_core::event::{DecodeError, NewEvent, Position, RecordedEvent};
use daa_core::id::{EventKind, IdError, StreamId};
use serde::{Deserialize, Serialize};

use super::hash::TreeHash;

/// What the names of the streams of logs begin with.
pub(super) const STREAMS: &str = "audit/";

const OPENED: &str = "audit.opened.v1";
const CHECKPOINT: &str = "audit.checkpoint.v1";
/// The kind of the event of a new key; it is recorded in the log too.
pub(super) const ROTATED: &str = "audit.rotated.v1";

/// How far a log is. Each event of its stream has all of it, so the last one is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// How many records it has.
    pub(super) size: u64,
    /// The root of their tree.
    pub(super) root: TreeHash,
    /// The position of the last event that was looked at.
    pub(super) position: Position,
    /// The public key that signs from here on.
    pub(super) key: String,
    /// How many keys there were before it.
    pub(super) rotations: u64,
}

impl Head {
    /// The beginning of a log.
    pub(super) const fn start(key: String) -> Self {
        Self { size: 0, root: TreeHash::EMPTY, position: Position::START, key, rotations: 0 }
    }
}

/// What happens to a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LogEvent {
    /// Somebody goes on with it from here; whoever did before cannot any more.
    Opened {
        /// How far it is.
        head: Head,
    },
    /// It has a new checkpoint, and the files for it.
    Checkpoint {
        /// How far it is.
        head: Head,
    },
    /// It has a new key.
    Rotated {
        /// How far it is.
        head: Head,
        /// The old key's statement, signed by both.
        statement: String,
    },
}

impl LogEvent {
    /// Reads an event of the log's stream; `None` for one that was erased.
    pub(super) fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        if event.is_erased() { Ok(None) } else { event.json().map(Some) }
    }

    pub(super) const fn head(&self) -> &Head {
        match self {
            Self::Opened { head } | Self::Checkpoint { head } | Self::Rotated { head, .. } => head,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Opened { .. } => OPENED,
            Self::Checkpoint { .. } => CHECKPOINT,
            Self::Rotated { .. } => ROTATED,
        }
    }

    pub(super) fn to_new(&self, at: Timestamp) -> Result<NewEvent, JournalError> {
        Ok(NewEvent::json(EventKind::new(self.kind())?, at, self)?)
    }
}

/// The stream of a log.
pub(super) fn stream(name: &str) -> Result<StreamId, IdError> {
    StreamId::joined(&[STREAMS, name])
}

/// An event of the log's own stream that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It does not encode.
    #[error("the event cannot be written")]
    Encode(#[from] DecodeError),
    /// A constant of this library is not an id.
    #[error("the event has no valid name")]
    Name(#[from] IdError),
}
