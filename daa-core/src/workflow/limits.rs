//! Limits that hold for all workers of a store: who holds a place is a stream of events.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::definition::Limit;
use super::error::WorkflowError;
use super::run::Room;
use crate::clock::Timestamp;
use crate::event::{
    DecodeError, EventStore, ExpectedVersion, NewEvent, PageSize, RecordedEvent, StreamWrite, Version,
};
use crate::id::{EventKind, IdError, LimitKey, StreamId};

/// What stands before the key in the name of its stream.
pub(super) const PREFIX: &str = "workflow-limit/";
const KIND: &str = "workflow_limit.changed.v1";
/// The longest history of a rate that is kept for a key.
const MAX_RATE: usize = 100_000;

/// What happens to a place under a limit. The holder is a run, or one of its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LimitEvent {
    Acquired(String),
    Released(String),
}

/// Who holds a place under which limit, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct LimitBook {
    keys: Mutex<HashMap<LimitKey, Key>>,
}

#[derive(Debug, Default)]
struct Key {
    /// What is durable, as far as it was read.
    read: Places,
    /// Places that were taken here, by appends that are not durable yet, and when.
    pending: Vec<(String, Timestamp)>,
    /// Whether it has to be read before a place is taken.
    stale: bool,
    /// How often something new was read: a place that is pending rests on one reading.
    reads: u64,
    /// How often something happened to it: what was read while it did is not up to date.
    changes: u64,
    /// How often a place was given back.
    freed: u64,
}

#[derive(Clone, Debug, Default)]
struct Places {
    version: Version,
    holders: HashSet<String>,
    /// When places were taken, the oldest first.
    taken: VecDeque<Timestamp>,
}

/// A place that was taken in the book, and is not durable yet.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    key: LimitKey,
    holder: String,
    /// The reading of the key that it rests on.
    reads: u64,
}

impl Places {
    fn apply(&mut self, event: LimitEvent, at: Timestamp) {
        match event {
            LimitEvent::Acquired(holder) => {
                if self.holders.insert(holder) {
                    self.taken.push_back(at);
                    if self.taken.len() > MAX_RATE {
                        self.taken.pop_front();
                    }
                }
            }
            LimitEvent::Released(holder) => drop(self.holders.remove(&holder)),
        }
    }
}

impl Key {
    const fn outdated(&mut self) {
        self.stale = true;
        self.changes += 1;
    }

    fn is_held_by(&self, holder: &str) -> bool {
        self.read.holders.contains(holder) || self.pending.iter().any(|(pending, _)| pending == holder)
    }

    /// Whether there is a place, and if not, when there may be one.
    fn room(&mut self, limit: &Limit, now: Timestamp) -> Room {
        let held = self.read.holders.len() + self.pending.len();
        if limit.at_once.is_some_and(|most| held >= most.get() as usize) {
            return Room::Full { until: None };
        }
        let Some(rate) = limit.rate else { return Room::Granted };
        while self.read.taken.front().is_some_and(|&at| at + rate.per <= now) {
            self.read.taken.pop_front();
        }
        if self.read.taken.len() + self.pending.len() < rate.count.get() as usize {
            return Room::Granted;
        }
        let oldest = self.read.taken.front().or(self.pending.first().map(|(_, at)| at));
        Room::Full { until: oldest.map(|&at| at + rate.per) }
    }
}

impl LimitBook {
    fn keys(&self) -> MutexGuard<'_, HashMap<LimitKey, Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream of a key.
    pub(super) fn stream(key: &LimitKey) -> Result<StreamId, IdError> {
        StreamId::new(format!("{PREFIX}{key}"))
    }

    /// Takes a place, and notes that in `taken`; `None` when the key has to be read first.
    pub(super) fn acquire(
        &self,
        key: &LimitKey,
        limit: &Limit,
        holder: &str,
        now: Timestamp,
        taken: &mut Vec<Taken>,
    ) -> Option<Room> {
        let mut keys = self.keys();
        let state = keys.get_mut(key).filter(|state| !state.stale)?;
        if state.is_held_by(holder) {
            return Some(Room::Granted);
        }
        let room = state.room(limit, now);
        if room == Room::Granted {
            state.pending.push((holder.to_owned(), now));
            taken.push(Taken { key: key.clone(), holder: holder.to_owned(), reads: state.reads });
        }
        Some(room)
    }

    /// Whether there is still room for what was taken. A key that something new was read of may have been filled by
    /// others; it has to be asked again.
    pub(super) fn stands(&self, taken: &[Taken]) -> bool {
        let keys = self.keys();
        taken.iter().all(|taken| keys.get(&taken.key).is_some_and(|state| state.reads == taken.reads))
    }

    /// Whether something happened to a key since it was read.
    pub(super) fn is_stale(&self, key: &LimitKey) -> bool {
        self.keys().get(key).is_none_or(|state| state.stale)
    }

    /// How often a place under the key was given back, as far as the log was followed.
    pub(super) fn freed(&self, key: &LimitKey) -> u64 {
        self.keys().get(key).map_or(0, |state| state.freed)
    }

    /// Gives a place back that was taken for an append that failed.
    pub(super) fn withdraw(&self, taken: &Taken) {
        if let Some(state) = self.keys().get_mut(&taken.key) {
            state.pending.retain(|(holder, _)| *holder != taken.holder);
            // An append that was not confirmed may be durable all the same.
            state.outdated();
        }
    }

    /// The write that makes changes durable. A place is taken only if nobody else wrote to the key meanwhile.
    pub(super) fn write(
        &self,
        key: &LimitKey,
        events: &[LimitEvent],
        now: Timestamp,
    ) -> Result<StreamWrite, WorkflowError> {
        let takes = events.iter().any(|event| matches!(event, LimitEvent::Acquired(_)));
        let version = self.keys().get(key).map_or(Version::EMPTY, |state| state.read.version);
        let expected = if takes { ExpectedVersion::Exact(version) } else { ExpectedVersion::Any };
        let new: Result<Vec<_>, DecodeError> =
            events.iter().map(|event| NewEvent::json(kind(), now, event)).collect();
        let stream = Self::stream(key).map_err(|_| WorkflowError::Contended { tries: 0 })?;
        Ok(StreamWrite::new(stream, expected, new?))
    }

    /// Takes note that a write is durable.
    pub(super) fn confirm(&self, key: &LimitKey, write: &StreamWrite, events: &[LimitEvent], now: Timestamp) {
        let mut keys = self.keys();
        let Some(state) = keys.get_mut(key) else { return };
        let acquired = |holder: &String| {
            events.iter().any(|event| matches!(event, LimitEvent::Acquired(other) if other == holder))
        };
        state.pending.retain(|(holder, _)| !acquired(holder));
        match write.expected {
            // It may have been read meanwhile.
            ExpectedVersion::Exact(before) if state.read.version <= before => {
                state.changes += 1;
                state.read.version = Version::new(before.get() + events.len() as u64);
                events.iter().for_each(|event| state.read.apply(event.clone(), now));
            }
            ExpectedVersion::Exact(_) => {}
            // Where the write landed is not known.
            ExpectedVersion::Any => state.outdated(),
        }
    }

    /// Reads what happened to a key since it was read last.
    pub(super) async fn read(&self, store: &dyn EventStore, key: &LimitKey) -> Result<(), WorkflowError> {
        let Ok(stream) = Self::stream(key) else { return Ok(()) };
        let (mut fresh, changes) = {
            let mut keys = self.keys();
            let state = keys.entry(key.clone()).or_insert_with(|| Key { stale: true, ..Key::default() });
            (state.read.clone(), state.changes)
        };
        loop {
            let page = store.read_stream(&stream, fresh.version, PageSize::default()).await?;
            let Some(last) = page.last() else { break };
            fresh.version = last.version;
            for event in &page {
                if let Some(change) = read(event)? {
                    fresh.apply(change, event.at);
                }
            }
        }
        let mut keys = self.keys();
        let Some(state) = keys.get_mut(key) else { return Ok(()) };
        if fresh.version > state.read.version {
            state.read = fresh;
            state.reads += 1;
        }
        state.stale = state.changes != changes;
        Ok(())
    }

    /// Follows an event of the log; answers the key if a place was given back.
    pub(super) fn follow(&self, event: &RecordedEvent) -> Result<Option<LimitKey>, WorkflowError> {
        let Some(change) = read(event)? else { return Ok(None) };
        let Some(key) = event.stream.as_str().strip_prefix(PREFIX) else { return Ok(None) };
        let Ok(key) = LimitKey::new(key) else { return Ok(None) };
        let freed = matches!(change, LimitEvent::Released(_));
        if let Some(state) = self.keys().get_mut(&key) {
            state.freed += u64::from(freed);
            if state.read.version < event.version {
                state.outdated();
            }
        }
        Ok(freed.then_some(key))
    }
}

fn read(event: &RecordedEvent) -> Result<Option<LimitEvent>, WorkflowError> {
    if event.kind.as_str() != KIND {
        return Ok(None);
    }
    Ok(Some(event.json()?))
}

#[expect(clippy::expect_used, reason = "a constant of the id alphabet")]
fn kind() -> EventKind {
    EventKind::new(KIND).expect("a constant kind is an id")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::event::{Batch, MemoryEventStore};

    const NOW: Timestamp = Timestamp::from_millis(1);

    fn key() -> LimitKey {
        LimitKey::new("key").unwrap()
    }

    fn take(book: &LimitBook, holder: &str, taken: &mut Vec<Taken>) -> Option<Room> {
        book.acquire(&key(), &Limit::at_once("key", NonZeroU32::MIN), holder, NOW, taken)
    }

    fn acquired(holder: &str) -> [LimitEvent; 1] {
        [LimitEvent::Acquired(holder.to_owned())]
    }

    async fn append(store: &MemoryEventStore, write: StreamWrite) {
        store.append(Batch::new().with(write)).await.unwrap();
    }

    #[tokio::test]
    async fn a_place_rests_on_what_was_read_when_it_was_taken() {
        let store = MemoryEventStore::new();
        let (ours, theirs) = (LimitBook::default(), LimitBook::default());
        for book in [&ours, &theirs] {
            book.read(&store, &key()).await.unwrap();
        }
        let (mut mine, mut other) = (Vec::new(), Vec::new());
        assert_eq!(take(&ours, "mine", &mut mine), Some(Room::Granted));
        assert_eq!(take(&theirs, "other", &mut other), Some(Room::Granted));
        append(&store, theirs.write(&key(), &acquired("other"), NOW).unwrap()).await;
        // Somebody else in our process reads that: what was taken before must not be written as if it were new.
        ours.read(&store, &key()).await.unwrap();
        assert!(!ours.stands(&mine));
        assert!(theirs.stands(&other));
        mine.iter().for_each(|taken| ours.withdraw(taken));
        ours.read(&store, &key()).await.unwrap();
        assert_eq!(take(&ours, "mine", &mut mine), Some(Room::Full { until: None }));
    }

    #[tokio::test]
    async fn a_write_of_ours_that_was_read_before_it_was_confirmed_counts_once() {
        let store = MemoryEventStore::new();
        let book = LimitBook::default();
        book.read(&store, &key()).await.unwrap();
        let mut taken = Vec::new();
        take(&book, "a", &mut taken);
        let write = book.write(&key(), &acquired("a"), NOW).unwrap();
        append(&store, write.clone()).await;
        book.read(&store, &key()).await.unwrap();
        book.confirm(&key(), &write, &acquired("a"), NOW);
        let released = [LimitEvent::Released("a".to_owned())];
        let write = book.write(&key(), &released, NOW).unwrap();
        append(&store, write).await;
        // The log tells of it; were our own write counted twice, it would seem to be known.
        let log = store.read_all(crate::event::Position::START, PageSize::default()).await.unwrap();
        for event in &log {
            book.follow(event).unwrap();
        }
        assert!(book.is_stale(&key()));
        book.read(&store, &key()).await.unwrap();
        assert_eq!(take(&book, "b", &mut taken), Some(Room::Granted));
        assert_eq!(book.freed(&key()), 1);
    }
}
