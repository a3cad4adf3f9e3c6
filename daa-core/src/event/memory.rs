//! The event store in memory: complete, and gone with the process.

mod blocks;
mod streams;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use foldhash::{HashMap, HashMapExt as _};
use tokio::sync::watch;

use self::blocks::Blocks;
use self::streams::Streams;
use super::batch::{Batch, ExpectedVersion, StreamWrite};
use super::error::{AppendError, ReadError};
use super::record::{Appended, Position, RecordedEvent, Version};
use super::store::{EventStore, PageSize, ReadAll};
use super::subscription::Subscription;
use crate::id::StreamId;

/// An [`EventStore`] in memory. It keeps the whole contract, and survives nothing: not the process, not a
/// crash. Clones share one store; when the last is dropped, subscriptions end.
///
/// Memory grows with every event; [erasing](EventStore::erase) gives the room of payloads back.
#[derive(Clone, Debug)]
pub struct MemoryEventStore {
    log: Arc<SharedLog>,
    /// Kept out of the log, which subscriptions hold, so that they see the store go. `None` once closed. It follows
    /// the log, which is what reads are answered from.
    head: Arc<Mutex<Option<watch::Sender<Position>>>>,
}

#[derive(Debug, Default)]
struct SharedLog(Mutex<Log>);

impl Default for MemoryEventStore {
    fn default() -> Self {
        Self { log: Arc::default(), head: Arc::new(Mutex::new(Some(watch::Sender::new(Position::START)))) }
    }
}

#[derive(Debug, Default)]
struct Log {
    /// All events; the one at position *p* stands at index *p − 1*.
    events: Blocks<RecordedEvent>,
    /// For each stream the indexes of its events; that of version *v* stands at index *v − 1*.
    streams: Streams,
    closed: bool,
}

impl Log {
    fn readable(&self) -> Result<&Self, ReadError> {
        if self.closed { Err(ReadError::Closed) } else { Ok(self) }
    }

    fn version(&self, stream: &StreamId) -> Version {
        Version::new(self.streams.places(stream).len() as u64)
    }

    fn check_versions(&self, batch: &Batch) -> Result<(), AppendError> {
        if batch.writes.len() <= FEW {
            return batch.writes.iter().enumerate().try_for_each(|(at, write)| {
                let before = batch.writes.iter().take(at).filter(|before| before.stream == write.stream);
                let ahead: u64 = before.map(|before| before.events.len() as u64).sum();
                check_version(write, Version::new(self.version(&write.stream).get() + ahead))
            });
        }
        let mut ahead: HashMap<&StreamId, Version> = HashMap::with_capacity(batch.writes.len());
        for write in &batch.writes {
            let actual = ahead.entry(&write.stream).or_insert_with(|| self.version(&write.stream));
            check_version(write, *actual)?;
            *actual = Version::new(actual.get() + write.events.len() as u64);
        }
        Ok(())
    }

    fn append(&mut self, batch: Batch) -> Result<Appended, AppendError> {
        if self.closed {
            return Err(AppendError::Closed);
        }
        self.check_versions(&batch)?;
        Ok(self.apply(batch))
    }

    fn apply(&mut self, batch: Batch) -> Appended {
        let first = Position::new(self.events.len() as u64 + 1);
        for write in batch.writes {
            let indexes = self.streams.places_mut(&write.stream);
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

    fn erase(&mut self, stream: &StreamId, up_to: Version) -> u64 {
        let kind = RecordedEvent::erased_kind();
        let indexes = self.streams.places(stream);
        let mut erased = 0;
        // What is erased is a prefix, and is not looked at again and again.
        let is_erased = |index: &usize| self.events.get(*index).is_some_and(RecordedEvent::is_erased);
        let before = indexes.partition_point(is_erased);
        for &index in indexes.iter().take(index(up_to.get())).skip(before) {
            if let Some(event) = self.events.get_mut(index).filter(|event| !event.is_erased()) {
                (event.kind, event.payload) = (kind.clone(), Bytes::new());
                erased += 1;
            }
        }
        erased
    }
}

fn check_version(write: &StreamWrite, actual: Version) -> Result<(), AppendError> {
    match write.expected {
        ExpectedVersion::Exact(expected) if expected != actual => {
            Err(AppendError::Conflict { stream: write.stream.clone(), expected, actual })
        }
        ExpectedVersion::Exact(_) | ExpectedVersion::Any => Ok(()),
    }
}

impl MemoryEventStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl SharedLog {
    fn lock(&self) -> MutexGuard<'_, Log> {
        whole(&self.0)
    }
}

impl MemoryEventStore {
    fn guarded_head(&self) -> MutexGuard<'_, Option<watch::Sender<Position>>> {
        whole(&self.head)
    }
}

/// So many writes are compared with each other sooner than hashed.
const FEW: usize = 8;

/// Nothing panics between two changes of what these locks guard, so a poisoned one still guards a whole.
fn whole<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn page_of<'a>(events: impl Iterator<Item = &'a RecordedEvent>, page: PageSize) -> Vec<RecordedEvent> {
    let mut bytes = 0;
    let within = events.take(page.get()).take_while(|event| {
        let fits = bytes < PageSize::MAX_BYTES;
        bytes += event.payload.len();
        fits
    });
    within.cloned().collect()
}

#[async_trait]
impl ReadAll for SharedLog {
    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        let log = self.lock();
        Ok(page_of(log.readable()?.events.from(index(after.get())), page))
    }
}

#[async_trait]
impl EventStore for MemoryEventStore {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        batch.check()?;
        let appended = self.log.lock().append(batch)?;
        // Subscriptions are woken when others can go on already; who was overtaken does not set the head back.
        if let Some(head) = self.guarded_head().as_ref() {
            head.send_if_modified(|head| {
                let goes_on = *head < appended.last;
                *head = appended.last.max(*head);
                goes_on
            });
        }
        Ok(appended)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let log = self.log.lock();
        let log = log.readable()?;
        let indexes = log.streams.places(stream);
        let picked = indexes.iter().skip(index(after.get()));
        Ok(page_of(picked.filter_map(|&index| log.events.get(index)), page))
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.log.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        let head = self.guarded_head().as_ref().ok_or(ReadError::Closed)?.subscribe();
        Ok(Subscription::new(self.log.clone(), head, after))
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        let mut log = self.log.lock();
        if log.closed { Err(AppendError::Closed) } else { Ok(log.erase(stream, up_to)) }
    }

    async fn head(&self) -> Result<Position, ReadError> {
        let log = self.log.lock();
        log.readable().map(|log| Position::new(log.events.len() as u64))
    }

    async fn close(&self) {
        self.log.lock().closed = true;
        *self.guarded_head() = None;
    }
}
