//! What can go wrong at an event store.

use std::error::Error as StdError;

use super::record::{Position, Version};
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{EventKind, StreamId};

type Source = Box<dyn StdError + Send + Sync>;

/// Why nothing was appended, or not all erased.
///
/// After every variant but [`Self::Unconfirmed`] of an append the store is as it was before. What holds after that
/// of an erasure says [`EventStore::erase`](super::EventStore::erase).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A stream is not at the version that the batch was based on.
    #[error("stream {stream} is at version {actual}, the batch expected {expected}")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// What the batch expected.
        expected: Version,
        /// Where the stream is.
        actual: Version,
    },
    /// No events, or a write without events.
    #[error("a batch needs at least one event in every write")]
    Empty,
    /// A bound of [`BatchLimits`](super::BatchLimits) was passed.
    #[error("{actual} {what}, at most {limit} are allowed")]
    TooLarge {
        /// What there was too much of.
        what: &'static str,
        /// How much.
        actual: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// An event of a kind that only the store itself gives, [`RecordedEvent::ERASED`](super::RecordedEvent::ERASED).
    #[error("events of kind {kind} come of erasing, and cannot be appended")]
    ReservedKind {
        /// The kind.
        kind: EventKind,
    },
    /// The disk, or the store's own size limit, is full.
    #[error("the store is full")]
    Full {
        /// What the engine said.
        #[source]
        source: Source,
    },
    /// The store was opened, or has become, read-only.
    #[error("the store is read-only")]
    ReadOnly,
    /// The store is shut down.
    #[error("the store is closed")]
    Closed,
    /// The engine failed; nothing was appended.
    #[error("the store is unavailable")]
    Unavailable {
        /// What the engine said.
        #[source]
        source: Source,
    },
    /// The engine failed while it confirmed the append: it may or may not be durable. Read the streams to
    /// know, after the store was opened again where it says so.
    #[error("the store did not confirm the append")]
    Unconfirmed {
        /// What the engine said.
        #[source]
        source: Source,
    },
    /// What is on disk is not what was written.
    #[error("the store is corrupt: {detail}")]
    Corrupt {
        /// What is wrong, and where.
        detail: String,
    },
}

impl Reaction for AppendError {
    fn fault(&self) -> Fault {
        match self {
            Self::Conflict { .. }
            | Self::Empty
            | Self::TooLarge { .. }
            | Self::ReservedKind { .. }
            | Self::Closed => Fault::Caller,
            Self::Full { .. } | Self::ReadOnly | Self::Unavailable { .. } => Fault::Environment,
            Self::Unconfirmed { .. } | Self::Corrupt { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Conflict { .. } | Self::Unconfirmed { .. } => Retry::Now,
            Self::Full { .. } | Self::Unavailable { .. } => Retry::Later,
            Self::Empty
            | Self::TooLarge { .. }
            | Self::ReservedKind { .. }
            | Self::ReadOnly
            | Self::Closed
            | Self::Corrupt { .. } => Retry::Never,
        }
    }
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The store is shut down.
    #[error("the store is closed")]
    Closed,
    /// The engine failed.
    #[error("the store is unavailable")]
    Unavailable {
        /// What the engine said.
        #[source]
        source: Source,
    },
    /// What is on disk is not what was written.
    #[error("the store is corrupt: {detail}")]
    Corrupt {
        /// What is wrong, and where.
        detail: String,
    },
}

impl Reaction for ReadError {
    fn fault(&self) -> Fault {
        match self {
            Self::Closed => Fault::Caller,
            Self::Unavailable { .. } | Self::Corrupt { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } => Retry::Later,
            Self::Closed | Self::Corrupt { .. } => Retry::Never,
        }
    }
}

/// A payload that is not what its kind promises.
#[derive(Debug, thiserror::Error)]
#[error("event {kind} at position {position} does not decode")]
#[non_exhaustive]
pub struct DecodeError {
    /// Where the event stands; [`Position::START`] for one that is not in a store yet.
    pub position: Position,
    /// The kind of the event.
    pub kind: EventKind,
    /// What the decoder said.
    #[source]
    pub source: serde_json::Error,
}

impl Reaction for DecodeError {
    fn fault(&self) -> Fault {
        Fault::Bug
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}
