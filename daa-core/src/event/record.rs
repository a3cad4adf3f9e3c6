//! What a store gives back: recorded events, their place in the global order and in their stream.

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::DecodeError;
use crate::clock::Timestamp;
use crate::id::{EventKind, StreamId};

/// A place in the global order of a store. The first event stands at 1; [`Position::START`] is before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// Wraps a number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place behind this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How many events a stream has: its first event has version 1, and [`Version::EMPTY`] is a stream without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// No event yet.
    pub const EMPTY: Self = Self(0);

    /// Wraps a number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version after one more event.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One event as it stands in a store. Its place, its time and its stream stay for good; its kind and its content
/// until it is [erased](super::EventStore::erase).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedEvent {
    /// Its place in the global order.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its place in the stream, from 1.
    pub version: Version,
    /// What kind of event it is.
    pub kind: EventKind,
    /// When the writer says it happened.
    pub at: Timestamp,
    /// Its content.
    pub payload: Bytes,
}

impl RecordedEvent {
    /// For those who implement a store: an event as read back.
    #[must_use]
    pub const fn new(
        position: Position,
        stream: StreamId,
        version: Version,
        kind: EventKind,
        at: Timestamp,
        payload: Bytes,
    ) -> Self {
        Self { position, stream, version, kind, at, payload }
    }

    /// The kind that an event has once it is erased. No append may bring it.
    pub const ERASED: &'static str = "erased.v1";

    /// Whether its content and its kind were [erased](super::EventStore::erase).
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.kind.as_str() == Self::ERASED
    }

    /// For those who implement a store: the event without its content and its kind.
    #[must_use]
    pub fn into_erased(self) -> Self {
        Self { kind: Self::erased_kind(), payload: Bytes::new(), ..self }
    }

    /// For those who implement a store: [`Self::ERASED`] as a kind.
    #[must_use]
    pub const fn erased_kind() -> EventKind {
        EventKind::constant(Self::ERASED)
    }

    /// Reads the payload as JSON.
    ///
    /// # Errors
    /// [`DecodeError`] when the payload is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        serde_json::from_slice(&self.payload).map_err(|source| DecodeError {
            position: self.position,
            kind: self.kind.clone(),
            source,
        })
    }
}

/// What an append made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// The position of the batch's first event.
    pub first: Position,
    /// The position of the batch's last event.
    pub last: Position,
}

impl Appended {
    /// For those who implement a store.
    #[must_use]
    pub const fn new(first: Position, last: Position) -> Self {
        Self { first, last }
    }
}
