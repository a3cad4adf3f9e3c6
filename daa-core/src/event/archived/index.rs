//! Which part of the log is in which artefact: events of a stream of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, ReadError, RecordedEvent,
    Version,
};
use crate::id::{EventKind, StreamId};

/// The stream of the index. It is never erased, so that what it names can be found.
const STREAM: &str = "archive/events";

/// An event of the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(super) enum Entry {
    /// Somebody is about to read what he will archive. Whoever erases something meanwhile makes an entry too, and so
    /// the archive that is based on this one is refused.
    Begun,
    /// A part of the log is in an artefact: the part behind the last one, or one that was there in another artefact.
    Archived(Part),
    /// Something behind the last part was erased.
    Interrupted,
}

/// The events from `first` to `last` are in an artefact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) artifact: Digest,
}

/// The index as far as it was read. Parts follow one another from the first position on.
#[derive(Clone, Debug, Default)]
struct Known {
    version: Version,
    parts: Vec<Part>,
    begun: bool,
}

impl Known {
    /// `false` for an entry that cannot stand here.
    fn apply(&mut self, entry: &Entry) -> bool {
        self.begun = matches!(entry, Entry::Begun);
        if let Entry::Archived(part) = entry {
            if part.last < part.first {
                return false;
            }
            if part.first == self.last().next() {
                self.parts.push(*part);
                return true;
            }
            let at = self.parts.binary_search_by_key(&part.first, |part| part.first);
            match at.ok().and_then(|at| self.parts.get_mut(at)) {
                Some(known) if known.last == part.last => *known = *part,
                _ => return false,
            }
        }
        true
    }

    fn last(&self) -> Position {
        self.parts.last().map_or(Position::START, |part| part.last)
    }
}

#[derive(Debug)]
pub(super) struct Index {
    stream: StreamId,
    kind: EventKind,
    known: Mutex<Known>,
}

/// Where the index ended when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) version: Version,
    /// The last position that is archived.
    pub(super) last: Position,
    /// Whether somebody was about to archive more.
    pub(super) begun: bool,
}

impl Index {
    #[expect(clippy::expect_used, reason = "a constant of the id alphabet")]
    pub(super) fn new() -> Self {
        let stream = StreamId::new(STREAM).expect("a constant stream is an id");
        let kind = EventKind::constant("archive.events.v1");
        Self { stream, kind, known: Mutex::default() }
    }

    pub(super) fn is_own(&self, stream: &StreamId) -> bool {
        *stream == self.stream
    }

    /// Reads what is new in it.
    pub(super) async fn refresh(&self, store: &dyn EventStore) -> Result<End, ReadError> {
        loop {
            let after = self.known().version;
            let page = store.read_stream(&self.stream, after, PageSize::default()).await?;
            let mut known = self.known();
            if page.is_empty() {
                return Ok(End { version: known.version, last: known.last(), begun: known.begun });
            }
            // Others may have read the same meanwhile.
            for event in page.iter().filter(|event| event.version > after) {
                if event.version == known.version.next() {
                    let fits = event.json().is_ok_and(|entry| known.apply(&entry));
                    if !fits {
                        let position = event.position;
                        let detail =
                            format!("the index of archived events is damaged at position {position}");
                        return Err(ReadError::Corrupt { detail });
                    }
                    known.version = event.version;
                }
            }
        }
    }

    /// Makes an entry behind the version at which the index was read.
    pub(super) async fn append(
        &self,
        store: &dyn EventStore,
        behind: Version,
        entry: &Entry,
        at: Timestamp,
    ) -> Result<(), AppendError> {
        let unfit = |error: crate::event::DecodeError| AppendError::Corrupt { detail: error.to_string() };
        let event = NewEvent::json(self.kind.clone(), at, entry).map_err(unfit)?;
        let expected = ExpectedVersion::Exact(behind);
        store.append(Batch::new().with_event(self.stream.clone(), expected, event)).await?;
        Ok(())
    }

    /// The part that an event is in, as far as is known.
    pub(super) fn part_of(&self, event: &RecordedEvent) -> Option<Part> {
        let known = self.known();
        let at = known.parts.partition_point(|part| part.last < event.position);
        known.parts.get(at).copied()
    }

    /// The last part, as far as is known.
    pub(super) fn last_part(&self) -> Option<Part> {
        self.known().parts.last().copied()
    }

    /// The artefacts that are known to be needed.
    pub(super) fn artifacts(&self) -> Vec<Digest> {
        self.known().parts.iter().map(|part| part.artifact).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archived(first: u64, last: u64, tag: &str) -> Entry {
        let artifact = Digest::of(tag.as_bytes());
        Entry::Archived(Part { first: Position::new(first), last: Position::new(last), artifact })
    }

    #[test]
    fn parts_follow_one_another_and_are_replaced_as_wholes() {
        let mut known = Known::default();
        for entry in [archived(1, 5, "a"), Entry::Begun, archived(6, 6, "b"), archived(1, 5, "c")] {
            assert!(known.apply(&entry), "{entry:?}");
        }
        assert_eq!(known.parts.len(), 2);
        assert_eq!(known.parts[0].artifact, Digest::of(b"c"));
        assert_eq!(known.last(), Position::new(6));
        for entry in [archived(8, 9, "d"), archived(1, 4, "d"), archived(2, 5, "d"), archived(7, 6, "d")] {
            assert!(!known.clone().apply(&entry), "{entry:?}");
        }
    }
}
