//! An event store whose old events are in artefacts, and are read as if they were in the store.

use std::sync::{Arc, Weak};

use async_trait::async_trait;

use super::{
    AppendError, Appended, Batch, EventStore, PageSize, Position, ReadAll, ReadError, RecordedEvent,
    Subscription, Version,
};
use crate::artifact::{ArtifactReader, Artifacts, Reachability};
use crate::clock::{Clock, Timestamp};
use crate::digest::Digest;
use crate::id::StreamId;

mod error;
mod index;
mod moving;
mod parts;
mod segment;
mod shelf;

pub use error::ArchiveError;
use index::Index;
use parts::Parts;
use shelf::Shelf;

/// An [`EventStore`] that can move the content of its oldest events into artefacts, and reads it back by itself: every
/// read and every subscription gives what it gave before, more slowly where the content is far away.
///
/// [`archive`](Self::archive) moves everything up to a position; nothing is moved without being asked for. What is left
/// in the store are places: position, stream, version and time of each event.
///
/// # Contract
///
/// - At every moment the content of an event is in the store, or in an artefact that the index names. The artefact is
///   durable, named and read back before anything is erased; a crash at any point loses nothing, and the next call goes
///   on.
/// - What comes back is verified: the artefact by its address, each event by its place. What is not as it was is
///   [`ReadError::Corrupt`], and never an event without its content.
/// - [Erasing](EventStore::erase) holds for archived events too: the artefacts that hold them are written anew without
///   them, and the old ones are left to the next collection. Until then their bytes are still there.
/// - Any number of processes may archive, erase and read at once, if all of them use the store through this type with
///   the same artefacts. Whoever reads the store itself sees archived events as erased; whoever erases there does not
///   erase what is archived.
/// - The artefacts must not be removed. Where they are [collected](crate::artifact::NamedArtifacts::collect), this is
///   the [`Reachability`] that says so; the grace period must be longer than one part takes to be archived.
///
/// Parts hold up to 10,000 events and about 8 MiB; the last four that were read stay in memory. The index is the stream
/// `archive/events`, two events for each part; all of it is in memory, 48 bytes for each part.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use std::sync::Arc;
///
/// use daa_core::artifact::MemoryArtifacts;
/// use daa_core::clock::{SystemClock, Timestamp};
/// use daa_core::event::{
///     Archived, Batch, EventStore, ExpectedVersion, MemoryEventStore, NewEvent, PageSize, Version,
/// };
///
/// let (store, artifacts) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
/// let events = Archived::new(store.clone(), artifacts, Arc::new(SystemClock::new()));
///
/// let stream: daa_core::id::StreamId = "orders".try_into()?;
/// let event = NewEvent::new("order.placed.v1".try_into()?, Timestamp::EPOCH, "three chairs".into());
/// events.append(Batch::new().with_event(stream.clone(), ExpectedVersion::NO_STREAM, event)).await?;
/// events.archive(events.head().await?).await?;
///
/// let left = store.read_stream(&stream, Version::EMPTY, PageSize::default()).await?;
/// assert!(left[0].is_erased());
/// let read = events.read_stream(&stream, Version::EMPTY, PageSize::default()).await?;
/// assert_eq!(read[0].payload, "three chairs");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Archived(Arc<Parts>);

impl Archived {
    /// A store whose old events go to these artefacts. The clock tells the times of the index's events.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, artifacts: Arc<dyn Artifacts>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Parts { store, clock, shelf: Shelf::new(artifacts), index: Index::new() }))
    }

    /// Moves the content of all events up to and with `up_to` into artefacts, and frees its room in the store. Answers
    /// the last position that is archived: less than `up_to` where what is left frees nothing.
    ///
    /// What is archived already is left as it is, so that this may be called as often as one likes; each call makes a
    /// part of its own, if only of one event, so call it for many events at a time. Every archived event is read from
    /// the store three times: move events when there is little else to do.
    ///
    /// # Errors
    /// [`ArchiveError`]. Calling again goes on where it ended.
    ///
    /// # Cancel safety
    /// A dropped future loses nothing; calling again goes on where it ended.
    pub async fn archive(&self, up_to: Position) -> Result<Position, ArchiveError> {
        self.0.archive(up_to).await
    }
}

#[async_trait]
impl EventStore for Archived {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.0.store.append(batch).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.0.restored(self.0.store.read_stream(stream, after, page).await?).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.0.restored(self.0.store.read_all(after, page).await?).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        let subscription = self.0.store.subscribe(after).await?;
        let parts = Arc::downgrade(&self.0);
        Ok(subscription.read_by(|reader| Arc::new(Restoring { reader, parts })))
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.0.erase(stream, up_to).await.map_err(ArchiveError::into_append)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.0.store.head().await
    }

    async fn now(&self) -> Result<Option<Timestamp>, ReadError> {
        self.0.store.now().await
    }

    async fn close(&self) {
        self.0.store.close().await;
    }
}

/// The artefacts that hold archived events. They name no others.
#[async_trait]
impl Reachability for Archived {
    async fn roots(&self) -> Result<Vec<Digest>, Box<dyn std::error::Error + Send + Sync>> {
        self.0.index.refresh(&*self.0.store).await?;
        Ok(self.0.index.artifacts())
    }

    async fn named_by(
        &self,
        _: &dyn ArtifactReader,
    ) -> Result<Vec<Digest>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Vec::new())
    }

    fn names_any(&self) -> bool {
        false
    }
}

/// Reads for a subscription. It does not keep the store, which ends its subscriptions when it is dropped.
#[derive(Debug)]
struct Restoring {
    reader: Arc<dyn ReadAll>,
    parts: Weak<Parts>,
}

#[async_trait]
impl ReadAll for Restoring {
    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        let events = self.reader.read_all(after, page).await?;
        match self.parts.upgrade() {
            Some(parts) => parts.restored(events).await,
            None if events.iter().any(RecordedEvent::is_erased) => Err(ReadError::Closed),
            None => Ok(events),
        }
    }
}
