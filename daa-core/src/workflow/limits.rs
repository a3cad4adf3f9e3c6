//! Limits that hold for all workers of a store: who holds a place is a stream of events.

mod places;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::definition::{Limit, Rate};
use super::error::WorkflowError;
use super::run::Room;
use crate::clock::Timestamp;
use crate::event::{
    AppendError, Batch, BatchLimits, DecodeError, EventStore, ExpectedVersion, NewEvent, PageSize,
    RecordedEvent, StreamWrite, Version,
};
use crate::id::{EventKind, IdError, LimitKey, StreamId};

pub(super) use places::LimitEvent;
use places::Places;

/// What stands before the key in the name of its stream.
pub(super) const PREFIX: &str = "workflow-limit/";
const KIND: &str = "workflow_limit.changed.v1";
/// How many keys are kept; those that were not used for longest are read again when they are.
const MAX_KEYS: usize = 4_096;

/// Who holds a place under which limit, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct LimitBook {
    keys: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    by_key: HashMap<LimitKey, Key>,
    /// How often a key was used.
    uses: u64,
    /// How often a place was given back, under any key.
    freed: u64,
}

#[derive(Debug, Default)]
struct Key {
    /// What is durable, as far as it was read.
    read: Places,
    /// Places that were taken here, by appends that are not durable yet.
    pending: Vec<Pending>,
    /// Whether it has to be read before a place is taken.
    stale: bool,
    /// How often something new was read: a place that is pending rests on one reading.
    reads: u64,
    /// How often something happened to it: what was read while it did is not up to date.
    changes: u64,
    /// What [`Keys::freed`] was when a place was given back last.
    freed: u64,
    /// What [`Keys::uses`] was when it was used last.
    used: u64,
}

#[derive(Debug)]
struct Pending {
    holder: String,
    at: Timestamp,
    rate: Option<Rate>,
}

/// A place that was taken in the book, and is not durable yet.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    key: LimitKey,
    holder: String,
    /// The reading of the key that it rests on.
    reads: u64,
}

/// Places that were taken for an append. Dropped, they are given back, unless they were kept.
#[derive(Debug)]
pub(super) struct Takes {
    book: Arc<LimitBook>,
    pub(super) taken: Vec<Taken>,
}

impl Takes {
    pub(super) const fn new(book: Arc<LimitBook>) -> Self {
        Self { book, taken: Vec::new() }
    }

    /// They are durable.
    pub(super) fn keep(mut self) {
        self.taken.clear();
    }
}

impl Drop for Takes {
    fn drop(&mut self) {
        self.taken.iter().for_each(|taken| self.book.withdraw(taken));
    }
}

/// What happens to the places of a key in an append.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) key: LimitKey,
    pub(super) write: StreamWrite,
    events: Vec<LimitEvent>,
}

impl Key {
    const fn outdated(&mut self) {
        self.stale = true;
        self.changes += 1;
    }

    fn is_held_by(&self, holder: &str) -> bool {
        self.read.is_held_by(holder) || self.pending.iter().any(|pending| pending.holder == holder)
    }

    /// When the places were taken that are pending, but for those that were read already.
    fn unread(&self) -> Vec<Timestamp> {
        let unread = self.pending.iter().filter(|pending| !self.read.is_held_by(&pending.holder));
        unread.map(|pending| pending.at).collect()
    }

    /// The write that makes changes durable. A place is taken only if nobody else wrote to the key meanwhile.
    fn stage(
        &self,
        key: LimitKey,
        mut events: Vec<LimitEvent>,
        now: Timestamp,
    ) -> Result<Staged, WorkflowError> {
        for event in &mut events {
            if let LimitEvent::Acquired(holder) = event
                && let Some(Pending { rate: Some(rate), .. }) =
                    self.pending.iter().find(|pending| pending.holder == *holder)
            {
                *event = LimitEvent::Rated { holder: std::mem::take(holder), rate: *rate };
            }
        }
        let takes = events.iter().any(|event| event.taker().is_some());
        let expected = if takes { ExpectedVersion::Exact(self.read.version) } else { ExpectedVersion::Any };
        let new: Result<Vec<_>, DecodeError> =
            events.iter().map(|event| NewEvent::json(kind(), now, event)).collect();
        let stream = LimitBook::stream(&key).map_err(|_| WorkflowError::Contended { tries: 0 })?;
        Ok(Staged { key, write: StreamWrite::new(stream, expected, new?), events })
    }
}

impl Keys {
    fn used(&mut self, key: &LimitKey) -> Option<&mut Key> {
        self.uses += 1;
        let state = self.by_key.get_mut(key)?;
        state.used = self.uses;
        Some(state)
    }

    /// The key, to be read if it is not known yet.
    fn entry(&mut self, key: &LimitKey) -> &mut Key {
        if self.by_key.len() >= MAX_KEYS && !self.by_key.contains_key(key) {
            self.make_room();
        }
        self.uses += 1;
        // Whoever found no room before it was known looks again.
        let new = || Key { stale: true, freed: self.freed, ..Key::default() };
        let state = self.by_key.entry(key.clone()).or_insert_with(new);
        state.used = self.uses;
        state
    }

    /// Drops the half of the keys that was not used for longest.
    fn make_room(&mut self) {
        let mut uses: Vec<u64> = self.by_key.values().map(|state| state.used).collect();
        let half = uses.len() / 2;
        let (_, &mut median, _) = uses.select_nth_unstable(half);
        self.by_key.retain(|_, state| state.used >= median || !state.pending.is_empty());
    }
}

impl LimitBook {
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream of a key.
    fn stream(key: &LimitKey) -> Result<StreamId, IdError> {
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
        let state = keys.used(key).filter(|state| !state.stale)?;
        if state.is_held_by(holder) {
            return Some(Room::Granted);
        }
        limit.rate.into_iter().for_each(|rate| state.read.remember(rate));
        let room = state.read.room(limit, &state.unread(), now);
        if room == Room::Granted {
            let holder = holder.to_owned();
            state.pending.push(Pending { holder: holder.clone(), at: now, rate: limit.rate });
            taken.push(Taken { key: key.clone(), holder, reads: state.reads });
        }
        Some(room)
    }

    /// Whether something happened to a key since it was read.
    pub(super) fn is_stale(&self, key: &LimitKey) -> bool {
        self.keys().by_key.get(key).is_none_or(|state| state.stale)
    }

    /// Grows with each place that is given back under the key, as far as the log was followed.
    pub(super) fn freed(&self, key: &LimitKey) -> u64 {
        let keys = self.keys();
        keys.by_key.get(key).map_or(keys.freed, |state| state.freed)
    }

    /// Gives a place back that was taken for an append that failed.
    fn withdraw(&self, taken: &Taken) {
        if let Some(state) = self.keys().by_key.get_mut(&taken.key) {
            state.pending.retain(|pending| pending.holder != taken.holder);
            // An append that was not confirmed may be durable all the same.
            state.outdated();
        }
    }

    /// The writes that make changes durable; `None` where there may be no room any more for what was taken. A key
    /// that something new was read of may have been filled by others; it has to be asked again.
    pub(super) fn stage(
        &self,
        taken: &[Taken],
        changes: impl IntoIterator<Item = (LimitKey, Vec<LimitEvent>)>,
        now: Timestamp,
    ) -> Result<Option<Vec<Staged>>, WorkflowError> {
        // Under one lock: the version that is written at is the one that the decision rests on.
        let keys = self.keys();
        let stands =
            |taken: &Taken| keys.by_key.get(&taken.key).is_some_and(|state| state.reads == taken.reads);
        if !taken.iter().all(stands) {
            return Ok(None);
        }
        let unknown = Key::default();
        let staged =
            |(key, events): (LimitKey, _)| keys.by_key.get(&key).unwrap_or(&unknown).stage(key, events, now);
        changes.into_iter().map(staged).collect::<Result<_, _>>().map(Some)
    }

    /// Takes note that a write is durable.
    pub(super) fn confirm(&self, staged: &Staged, now: Timestamp) {
        let Staged { key, write, events } = staged;
        let mut keys = self.keys();
        let Some(state) = keys.by_key.get_mut(key) else { return };
        let acquired = |holder: &str| events.iter().any(|event| event.taker() == Some(holder));
        state.pending.retain(|pending| !acquired(&pending.holder));
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
            let state = keys.entry(key);
            (state.read.clone(), state.changes)
        };
        loop {
            let page = store.read_stream(&stream, fresh.version, PageSize::default()).await?;
            let Some(last) = page.last() else { break };
            for event in &page {
                if let Some(change) = read(event)? {
                    if matches!(change, LimitEvent::Sum(_)) {
                        fresh.summed_at(event.version);
                    }
                    fresh.apply(change, event.at);
                }
            }
            fresh.version = last.version;
        }
        let mut keys = self.keys();
        let Some(state) = keys.by_key.get_mut(key) else { return Ok(()) };
        if fresh.version > state.read.version {
            state.read = fresh;
            state.reads += 1;
        }
        state.stale = state.changes != changes;
        Ok(())
    }

    /// Sums the events of a key up, where there are many, and frees the place of those before the sum. Where that
    /// fails, it is done another time.
    pub(super) async fn compact(&self, store: &dyn EventStore, key: &LimitKey, now: Timestamp) {
        let Some((version, sum)) = self.sum(key, now) else { return };
        let Ok(event) = NewEvent::json(kind(), now, &LimitEvent::Sum(sum)) else { return };
        let Ok(stream) = Self::stream(key) else { return };
        if event.payload.len() > BatchLimits::PAYLOAD {
            return;
        }
        let write = StreamWrite::new(stream.clone(), ExpectedVersion::Exact(version), vec![event]);
        let summed = store.append(Batch::new().with(write)).await;
        if let Some(state) = self.keys().by_key.get_mut(key) {
            match &summed {
                Ok(_) if state.read.version == version => {
                    state.changes += 1;
                    state.read.summed_at(version.next());
                }
                _ => state.outdated(),
            }
        }
        let erased = match summed {
            Ok(_) => store.erase(&stream, version).await,
            // Somebody else takes places, and will sum up.
            Err(AppendError::Conflict { .. }) => return,
            Err(error) => Err(error),
        };
        if let Err(error) = erased {
            tracing::warn!(%key, error = &error as &dyn std::error::Error, "the events of a limit were not summed up");
        }
    }

    fn sum(&self, key: &LimitKey, now: Timestamp) -> Option<(Version, places::Sum)> {
        let mut keys = self.keys();
        let state = keys.by_key.get_mut(key).filter(|state| !state.stale)?;
        state.read.forget(now);
        state.read.is_long().then(|| (state.read.version, state.read.sum()))
    }

    /// Follows an event of the log; answers the key if a place was given back.
    pub(super) fn follow(&self, event: &RecordedEvent) -> Result<Option<LimitKey>, WorkflowError> {
        let Some(change) = read(event)? else { return Ok(None) };
        let Some(key) = event.stream.as_str().strip_prefix(PREFIX) else { return Ok(None) };
        let Ok(key) = LimitKey::new(key) else { return Ok(None) };
        // Behind a sum there may have been places given back that were erased before they were followed.
        let freed = matches!(change, LimitEvent::Released(_) | LimitEvent::Sum(_));
        let mut keys = self.keys();
        keys.freed += u64::from(freed);
        let total = keys.freed;
        if let Some(state) = keys.by_key.get_mut(&key) {
            if freed {
                state.freed = total;
            }
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

const fn kind() -> EventKind {
    EventKind::constant(KIND)
}
