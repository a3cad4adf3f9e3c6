//! The contract of an event store.

use std::fmt;
use std::num::NonZeroUsize;

use async_trait::async_trait;

use super::batch::Batch;
use super::error::{AppendError, ReadError};
use super::record::{Appended, Position, RecordedEvent, Version};
use super::subscription::Subscription;
use crate::clock::Timestamp;
use crate::id::StreamId;

/// How many events one read returns at most; never more than [`PageSize::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(NonZeroUsize);

impl PageSize {
    /// The largest page.
    pub const MAX: usize = 10_000;
    /// The payload bytes (64 MiB) after which a store ends a page early, so that large events cannot exhaust the
    /// reader's memory. A page has at least one event if there is one.
    pub const MAX_BYTES: usize = 64 << 20;

    /// A page of `events`, brought into `1..=MAX`.
    #[must_use]
    pub fn new(events: usize) -> Self {
        Self(NonZeroUsize::new(events.clamp(1, Self::MAX)).unwrap_or(NonZeroUsize::MIN))
    }

    /// The number of events.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0.get()
    }
}

impl Default for PageSize {
    /// 1,000 events.
    fn default() -> Self {
        Self::new(1_000)
    }
}

/// Reading in the global order: what a [`Subscription`] needs of a store.
#[async_trait]
pub trait ReadAll: Send + Sync + fmt::Debug {
    /// The events behind `after`, in order, at most a page of them. See [`EventStore::read_all`].
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError>;
}

/// Streams of events with one global order.
///
/// # Contract
///
/// An implementation must:
/// - acknowledge an append only when it is as durable as the implementation promises (the embedded engines: on
///   disk, after `fsync`; [`MemoryEventStore`](super::MemoryEventStore): in memory);
/// - apply a [`Batch`] wholly or not at all, also across streams and across a crash;
/// - give the events of a batch consecutive positions, in the order of the batch;
/// - never show a reader position *n + 1* before it shows *n*: the order has no gaps, and none that fill later;
/// - check every [`ExpectedVersion`](super::ExpectedVersion) against the stream as it is when the batch is
///   applied, earlier writes of the same batch included;
/// - call [`Batch::check`] first, and refuse what it refuses;
/// - let a subscriber that starts in history go on to live events without missing or repeating one;
/// - show an acknowledged append to every read that begins after the acknowledgement.
///
/// [Erasing](EventStore::erase) takes the content and the kind of events away and nothing else; an implementation
/// must keep the order, the versions and the times as they are.
///
/// A page may hold fewer events than were asked for although more exist ([`PageSize::MAX_BYTES`]): only an
/// empty page means that there are none.
///
/// It must not block an append because a reader or a subscriber is slow.
///
/// The suite in `event::testing` (feature `test-util`) checks all of that; every implementation runs it.
#[async_trait]
pub trait EventStore: Send + Sync + fmt::Debug {
    /// Appends a batch.
    ///
    /// # Errors
    /// [`AppendError`] says whether anything can have been written, and whether trying again can help.
    ///
    /// # Cancel safety
    /// A dropped future leaves the batch either wholly appended or not at all.
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError>;

    /// The events of one stream behind version `after`, in order, at most a page of them. Empty when there are
    /// none, also for a stream that does not exist.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError>;

    /// The events of all streams behind `after`, in the global order, at most a page of them.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError>;

    /// All events behind `after`, and then each new one as it comes.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError>;

    /// Erases the events of `stream` up to and with version `up_to`, so that their room can be used again: payload
    /// and kind go, and the kind becomes [`RecordedEvent::ERASED`]. Position, stream, version and time stay, so the
    /// order gets no gap, and appends go on as if nothing had happened. Where `up_to` is beyond the end of the stream,
    /// what is there is erased; a stream that does not exist has nothing to erase.
    ///
    /// How many events this call erased; those that were erased before do not count, so that calling again is
    /// harmless.
    ///
    /// An acknowledged erasure is as durable as an append, and every read that begins afterwards shows it; a
    /// subscription may still give what it had read before. Events are erased from the first on, and a long prefix in
    /// several transactions, so that appends need not wait for the whole.
    ///
    /// It is there to get room back, and no promise that the bytes cannot be found on the disk. What is erased is
    /// gone for every projection that has not read it yet: the owner of a stream writes a snapshot first. The stream
    /// of an open action must not be erased: without its decision and its attempt nobody can settle it. Nor should
    /// streams that an auditor is to check.
    ///
    /// # Errors
    /// [`AppendError`]: of the prefix, a part may be erased. Calling again goes on from there.
    ///
    /// # Cancel safety
    /// A dropped future leaves a part of the prefix erased, or none, or all; each event wholly or not at all.
    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError>;

    /// The position of the last event; [`Position::START`] when there is none.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    async fn head(&self) -> Result<Position, ReadError>;

    /// What the clock shows that all who share the store have in common: that of its server. `None`, as by default,
    /// where there is none, and each process has only its own: in one process, or on one machine, that is the same.
    ///
    /// Whoever counts over time in a store that machines share should count by this clock, and not by its own.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be asked.
    ///
    /// # Cancel safety
    /// Safe: it only reads.
    async fn now(&self) -> Result<Option<Timestamp>, ReadError> {
        Ok(None)
    }

    /// Shuts the store down: appends that were accepted before are finished first. Afterwards every call answers
    /// [`AppendError::Closed`] or [`ReadError::Closed`], and a subscription ends: with `None` where it has
    /// seen everything, otherwise with [`ReadError::Closed`]. Closing again has no effect.
    ///
    /// # Cancel safety
    /// Once polled, the store closes also if the future is dropped.
    async fn close(&self);
}
