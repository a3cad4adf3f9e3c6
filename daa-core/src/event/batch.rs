//! What is appended: batches of events for one or several streams.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use super::error::{AppendError, DecodeError};
use super::record::{Position, RecordedEvent, Version};
use crate::clock::Timestamp;
use crate::id::{EventKind, StreamId};

/// An event that is not in a store yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewEvent {
    /// What kind of event it is.
    pub kind: EventKind,
    /// When it happened, by the writer's clock.
    pub at: Timestamp,
    /// Its content.
    pub payload: Bytes,
}

impl NewEvent {
    /// An event with raw content.
    #[must_use]
    pub const fn new(kind: EventKind, at: Timestamp, payload: Bytes) -> Self {
        Self { kind, at, payload }
    }

    /// An event whose content is the JSON of `payload`.
    ///
    /// # Errors
    /// [`DecodeError`] when `payload` has no JSON form, such as a map whose keys are not strings.
    pub fn json<T: Serialize>(kind: EventKind, at: Timestamp, payload: &T) -> Result<Self, DecodeError> {
        let encoded = WRITER.with_borrow_mut(|writer| writer.json(payload));
        match encoded {
            Ok(payload) => Ok(Self { kind, at, payload }),
            Err(source) => Err(DecodeError { position: Position::START, kind, source }),
        }
    }
}

/// Encodes payloads, and allocates for many small ones at once.
struct Writer {
    /// Where a payload is encoded, so that its size is known.
    scratch: Vec<u8>,
    /// Where small payloads stand one after the other, until the room is used up.
    block: BytesMut,
}

/// A larger buffer is not kept for the next event.
const SCRATCH_KEPT: usize = 64 << 10;
/// The room of small payloads that is allocated, and given back, at once.
const BLOCK: usize = 4 << 10;
/// Payloads up to this size share a block: whoever keeps one of them keeps eight times this at most.
const SMALL: usize = BLOCK / 8;

thread_local! {
    static WRITER: RefCell<Writer> = RefCell::new(Writer { scratch: Vec::new(), block: BytesMut::new() });
}

impl Writer {
    fn json<T: Serialize>(&mut self, payload: &T) -> Result<Bytes, serde_json::Error> {
        self.scratch.clear();
        serde_json::to_writer(&mut self.scratch, payload)?;
        if self.scratch.len() > SMALL {
            let bytes = Bytes::copy_from_slice(&self.scratch);
            if self.scratch.capacity() > SCRATCH_KEPT {
                self.scratch = Vec::new();
            }
            return Ok(bytes);
        }
        if self.block.capacity() < self.scratch.len() {
            self.block = BytesMut::with_capacity(BLOCK);
        }
        self.block.extend_from_slice(&self.scratch);
        Ok(self.block.split().freeze())
    }
}

/// What a stream must look like for a write to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// Whatever it looks like.
    Any,
    /// Exactly this many events; [`Version::EMPTY`] demands a stream that does not exist yet.
    Exact(Version),
}

impl ExpectedVersion {
    /// The stream has no event yet.
    pub const NO_STREAM: Self = Self::Exact(Version::EMPTY);
}

/// Events for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamWrite {
    /// The stream.
    pub stream: StreamId,
    /// What it must look like.
    pub expected: ExpectedVersion,
    /// The events, in order; at least one.
    pub events: Vec<NewEvent>,
}

impl StreamWrite {
    /// Events for one stream.
    #[must_use]
    pub const fn new(stream: StreamId, expected: ExpectedVersion, events: Vec<NewEvent>) -> Self {
        Self { stream, expected, events }
    }
}

/// Writes to one or several streams that become durable together or not at all.
///
/// A stream may stand in a batch several times; its writes are checked and applied in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// The writes, in order.
    pub writes: Vec<StreamWrite>,
}

/// The bounds of one batch; the same for every store.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchLimits;

impl BatchLimits {
    /// The most events.
    pub const EVENTS: usize = 10_000;
    /// The largest payload of one event, in bytes (1 MiB).
    pub const PAYLOAD: usize = 1 << 20;
    /// The most payload bytes in all (16 MiB).
    pub const TOTAL: usize = 16 << 20;
}

impl Batch {
    /// An empty batch, to be filled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a write.
    #[must_use]
    pub fn with(mut self, write: StreamWrite) -> Self {
        self.writes.push(write);
        self
    }

    /// Adds a write of one event.
    #[must_use]
    pub fn with_event(self, stream: StreamId, expected: ExpectedVersion, event: NewEvent) -> Self {
        self.with(StreamWrite::new(stream, expected, vec![event]))
    }

    /// The number of events.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.writes.iter().map(|write| write.events.len()).sum()
    }

    /// Checks the bounds. Every store calls this before it writes.
    ///
    /// # Errors
    /// [`AppendError::Empty`] without events, [`AppendError::TooLarge`] beyond [`BatchLimits`],
    /// [`AppendError::ReservedKind`] for a kind that says that an event was erased.
    pub fn check(&self) -> Result<(), AppendError> {
        let too_large = |what, actual, limit| Err(AppendError::TooLarge { what, actual, limit });
        let count = self.event_count();
        if count == 0 || self.writes.iter().any(|write| write.events.is_empty()) {
            return Err(AppendError::Empty);
        }
        if count > BatchLimits::EVENTS {
            return too_large("events in a batch", count, BatchLimits::EVENTS);
        }
        let events = || self.writes.iter().flat_map(|write| &write.events);
        if let Some(event) = events().find(|event| event.kind.as_str() == RecordedEvent::ERASED) {
            return Err(AppendError::ReservedKind { kind: event.kind.clone() });
        }
        let sizes = || events().map(|event| event.payload.len());
        let largest = sizes().max().unwrap_or_default();
        if largest > BatchLimits::PAYLOAD {
            return too_large("payload bytes in an event", largest, BatchLimits::PAYLOAD);
        }
        let total: usize = sizes().sum();
        if total > BatchLimits::TOTAL {
            return too_large("payload bytes in a batch", total, BatchLimits::TOTAL);
        }
        Ok(())
    }
}
