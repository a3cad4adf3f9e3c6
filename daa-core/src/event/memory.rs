//! The event store in memory: complete, and gone with the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::batch::{Batch, ExpectedVersion};
use super::error::{AppendError, ReadError};
use super::record::{Appended, Position, RecordedEvent, Version};
use super::store::{EventStore, PageSize, ReadAll};
use super::subscription::Subscription;
use crate::id::StreamId;

/// An [`EventStore`] in memory. It keeps the whole contract, and survives nothing: not the process, not a
/// crash. Clones share one store.
///
/// Memory grows with every event; there is no retention.
#[derive(Clone, Debug, Default)]
pub struct MemoryEventStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Mutex<Log>,
    head: watch::Sender<Position>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { log: Mutex::default(), head: watch::Sender::new(Position::START) }
    }
}

#[derive(Debug, Default)]
struct Log {
    /// All events; the one at position *p* stands at index *p − 1*.
    events: Vec<RecordedEvent>,
    /// For each stream the indexes of its events; that of version *v* stands at index *v − 1*.
    streams: HashMap<StreamId, Vec<usize>>,
}

impl Log {
    fn version(&self, stream: &StreamId) -> Version {
        Version::new(self.streams.get(stream).map_or(0, Vec::len) as u64)
    }

    fn check_versions(&self, batch: &Batch) -> Result<(), AppendError> {
        let mut ahead: HashMap<&StreamId, u64> = HashMap::new();
        for write in &batch.writes {
            let ahead = ahead.entry(&write.stream).or_default();
            let actual = Version::new(self.version(&write.stream).get() + *ahead);
            match write.expected {
                ExpectedVersion::Exact(expected) if expected != actual => {
                    return Err(AppendError::Conflict { stream: write.stream.clone(), expected, actual });
                }
                ExpectedVersion::Exact(_) | ExpectedVersion::Any => *ahead += write.events.len() as u64,
            }
        }
        Ok(())
    }

    fn apply(&mut self, batch: Batch) -> Appended {
        let first = Position::new(self.events.len() as u64 + 1);
        for write in batch.writes {
            let indexes = self.streams.entry(write.stream.clone()).or_default();
            for event in write.events {
                let index = self.events.len();
                indexes.push(index);
                self.events.push(RecordedEvent::new(
                    Position::new(index as u64 + 1),
                    write.stream.clone(),
                    Version::new(indexes.len() as u64),
                    event.kind,
                    event.at,
                    event.payload,
                ));
            }
        }
        Appended::new(first, Position::new(self.events.len() as u64))
    }
}

impl MemoryEventStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        // Nothing panics between two changes of the log, so a poisoned lock still guards a whole log.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[async_trait]
impl ReadAll for Shared {
    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        let log = self.log();
        Ok(log.events.iter().skip(index(after.get())).take(page.get()).cloned().collect())
    }
}

#[async_trait]
impl EventStore for MemoryEventStore {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        batch.check()?;
        let mut log = self.shared.log();
        log.check_versions(&batch)?;
        let appended = log.apply(batch);
        // Sent under the lock, so that the head never goes back.
        self.shared.head.send_replace(appended.last);
        Ok(appended)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let log = self.shared.log();
        let Some(indexes) = log.streams.get(stream) else { return Ok(Vec::new()) };
        let picked = indexes.iter().skip(index(after.get())).take(page.get());
        Ok(picked.filter_map(|&index| log.events.get(index)).cloned().collect())
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        ReadAll::read_all(&*self.shared, after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        Ok(Subscription::new(self.shared.clone(), self.shared.head.subscribe(), after))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(*self.shared.head.borrow())
    }
}
