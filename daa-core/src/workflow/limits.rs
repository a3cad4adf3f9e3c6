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
    version: Version,
    holders: HashSet<String>,
    /// When places were taken, the oldest first.
    taken: VecDeque<Timestamp>,
    /// Whether others have written to it since it was read.
    stale: bool,
    /// How often it was read.
    reads: u64,
    /// How often something happened to it: what was read while it did is not up to date.
    changes: u64,
}

/// A place that was taken in the book, and is not durable yet.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    key: LimitKey,
    holder: String,
    /// The reading of the key that it rests on.
    reads: u64,
}

impl Key {
    fn apply(&mut self, event: LimitEvent, at: Timestamp) {
        match event {
            LimitEvent::Acquired(holder) => {
                if self.holders.insert(holder) {
                    self.took(at);
                }
            }
            LimitEvent::Released(holder) => drop(self.holders.remove(&holder)),
        }
    }

    /// It has to be read before a place is taken.
    const fn outdated(&mut self) {
        self.stale = true;
        self.changes += 1;
    }

    fn took(&mut self, at: Timestamp) {
        self.taken.push_back(at);
        if self.taken.len() > MAX_RATE {
            self.taken.pop_front();
        }
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
        if state.holders.contains(holder) {
            return Some(Room::Granted);
        }
        if limit.at_once.is_some_and(|most| state.holders.len() >= most.get() as usize) {
            return Some(Room::Full { until: None });
        }
        if let Some(rate) = limit.rate {
            while state.taken.front().is_some_and(|&at| at + rate.per <= now) {
                state.taken.pop_front();
            }
            if state.taken.len() >= rate.count.get() as usize {
                return Some(Room::Full { until: state.taken.front().map(|&at| at + rate.per) });
            }
        }
        state.holders.insert(holder.to_owned());
        state.took(now);
        taken.push(Taken { key: key.clone(), holder: holder.to_owned(), reads: state.reads });
        Some(Room::Granted)
    }

    /// Whether there is still room for what was taken. A key that was read again since may have been filled by
    /// others; it has to be asked again.
    pub(super) fn stands(&self, taken: &[Taken]) -> bool {
        let keys = self.keys();
        taken.iter().all(|taken| keys.get(&taken.key).is_some_and(|state| state.reads == taken.reads))
    }

    /// Whether something happened to a key since it was read.
    pub(super) fn is_stale(&self, key: &LimitKey) -> bool {
        self.keys().get(key).is_none_or(|state| state.stale)
    }

    /// Gives a place back that was taken for an append that failed.
    pub(super) fn withdraw(&self, taken: &Taken) {
        if let Some(state) = self.keys().get_mut(&taken.key) {
            if state.reads == taken.reads {
                state.holders.remove(&taken.holder);
            }
            // Which of the moments was this one's is not known any more.
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
        let version = self.keys().get(key).map_or(Version::EMPTY, |state| state.version);
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
        state.changes += 1;
        match write.expected {
            ExpectedVersion::Exact(before) => {
                let version = Version::new(before.get() + events.len() as u64);
                if state.version >= version {
                    // It was read meanwhile.
                    return;
                }
                state.version = version;
            }
            // Where the write landed is not known.
            ExpectedVersion::Any => state.outdated(),
        }
        events.iter().for_each(|event| state.apply(event.clone(), now));
    }

    /// Reads what happened to a key.
    pub(super) async fn read(&self, store: &dyn EventStore, key: &LimitKey) -> Result<(), WorkflowError> {
        let Ok(stream) = Self::stream(key) else { return Ok(()) };
        let changes = {
            let mut keys = self.keys();
            keys.entry(key.clone()).or_insert_with(|| Key { stale: true, ..Key::default() }).changes
        };
        let mut fresh = Key::default();
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
        if let Some(before) = keys.get(key) {
            fresh.reads = before.reads + 1;
            fresh.changes = before.changes;
            fresh.stale = before.changes != changes;
        }
        keys.insert(key.clone(), fresh);
        Ok(())
    }

    /// Follows an event of the log; answers the key if a place was given back.
    pub(super) fn follow(&self, event: &RecordedEvent) -> Result<Option<LimitKey>, WorkflowError> {
        let Some(change) = read(event)? else { return Ok(None) };
        let Some(key) = event.stream.as_str().strip_prefix(PREFIX) else { return Ok(None) };
        let Ok(key) = LimitKey::new(key) else { return Ok(None) };
        let freed = matches!(change, LimitEvent::Released(_));
        if let Some(state) = self.keys().get_mut(&key)
            && state.version < event.version
        {
            state.outdated();
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
