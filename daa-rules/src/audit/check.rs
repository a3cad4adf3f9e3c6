//! Checking a whole log: its files against a checkpoint, and the store against its records.

use std::collections::VecDeque;

use bytes::Bytes;
use daa_core::event::{EventStore, PageSize, Position, ReadError, RecordedEvent};
use daa_core::fault::{Fault, Reaction, Retry};

use super::checkpoint::Checkpoint;
use super::edge::{Edge, FullTile};
use super::hash::TreeHash;
use super::journal::STREAMS;
use super::proof::ProofError;
use super::reader::{LogReadError, LogReader};
use super::record::{Content, Reading, Record, RecordError};
use super::shape::TILE_WIDTH;
use super::succession::Succession;
use super::tile::{Kind, Tile};

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogFault {
    /// A file is missing or damaged.
    #[error("the log's files are not complete")]
    Files(#[from] LogReadError),
    /// The records do not have the root of the checkpoint.
    #[error("the {size} records have root {actual}, the checkpoint says {expected}")]
    Root {
        /// How many records.
        size: u64,
        /// The root of the checkpoint.
        expected: TreeHash,
        /// The root of the records.
        actual: TreeHash,
    },
    /// A tile that does not follow from the records.
    #[error("the tile {path} is not that of the records")]
    Tile {
        /// Its path.
        path: String,
    },
    /// A key got another log than this one.
    #[error("the log is not the one that was handed over to its new key number {number}")]
    HandOver {
        /// Which of the new keys, from 1.
        number: usize,
        /// Where the proof of it fails.
        #[source]
        source: ProofError,
    },
    /// A record that is none.
    #[error("record {index} is none")]
    Record {
        /// Its number.
        index: u64,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
    /// A record whose event does not stand behind that of the record before.
    #[error("record {index} is of position {position}, which is not behind the record before")]
    Order {
        /// Its number.
        index: u64,
        /// Where its event stands.
        position: Position,
    },
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] ReadError),
    /// The event of a record is not what was recorded.
    #[error("the event at position {position} is not what record {index} says")]
    OtherEvent {
        /// The number of the record.
        index: u64,
        /// Where the event stands.
        position: Position,
    },
    /// The store does not have the event of a record.
    #[error("the store has no event at position {position}, which record {index} is of")]
    NoEvent {
        /// The number of the record.
        index: u64,
        /// Where its event should stand.
        position: Position,
    },
    /// The store has an event that should have been recorded before others that were.
    #[error("the event at position {position} was never recorded")]
    NotRecorded {
        /// Where it stands.
        position: Position,
    },
}

impl Reaction for LogFault {
    fn fault(&self) -> Fault {
        match self {
            Self::Files(error) => error.fault(),
            Self::Store(error) => error.fault(),
            _ => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Files(error) => error.retry(),
            Self::Store(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}

impl LogReader {
    /// Checks all files of a log against a checkpoint that is trusted: every record is one, they are in the order of the
    /// store, all tiles follow from them, and they have the root. Gives each record to `see`.
    ///
    /// Memory does not grow with the log.
    ///
    /// # Errors
    /// [`LogFault`] is the first thing that is wrong.
    pub async fn check(
        &self,
        checkpoint: &Checkpoint,
        mut see: impl FnMut(u64, &Record) + Send,
    ) -> Result<(), LogFault> {
        let size = checkpoint.size;
        let (mut edge, mut last) = (Edge::default(), Position::START);
        for bundle in 0..size.div_ceil(TILE_WIDTH) {
            let mut full = Vec::new();
            for (index, bytes) in (bundle * TILE_WIDTH..).zip(self.bundle(bundle, size).await?) {
                let record = Record::decode(&bytes).map_err(|source| LogFault::Record { index, source })?;
                if record.position <= last {
                    return Err(LogFault::Order { index, position: record.position });
                }
                last = record.position;
                edge.push(TreeHash::leaf(&bytes), &mut full);
                see(index, &record);
            }
            for FullTile { level, index, hashes } in full {
                self.check_tile(Tile { kind: Kind::Hashes(level), index, width: TILE_WIDTH }, &hashes)
                    .await?;
            }
        }
        for (level, hashes) in edge.partial() {
            let index = super::shape::hashes_at(level, size) / TILE_WIDTH;
            self.check_tile(Tile { kind: Kind::Hashes(level), index, width: hashes.len() as u64 }, hashes)
                .await?;
        }
        let (expected, actual) = (checkpoint.root, edge.root());
        if expected == actual { Ok(()) } else { Err(LogFault::Root { size, expected, actual }) }
    }

    /// Checks that a log is the one that its keys handed over, each to the next.
    ///
    /// The checkpoint must be [trusted](Succession::verify), and the log [checked](Self::check) against it.
    ///
    /// # Errors
    /// [`LogFault::HandOver`] names the first key that got another log; [`LogFault::Files`].
    pub async fn check_succession(&self, keys: &Succession, checkpoint: &Checkpoint) -> Result<(), LogFault> {
        for (number, last) in (1..).zip(keys.handed_over()) {
            let (old, new) = (last.size.min(checkpoint.size), last.size.max(checkpoint.size));
            let one = last.verify_consistency(checkpoint, &self.consistency(old, new).await?);
            one.map_err(|source| LogFault::HandOver { number, source })?;
        }
        Ok(())
    }

    async fn check_tile(&self, tile: Tile, hashes: &[TreeHash]) -> Result<(), LogFault> {
        if self.hashes(tile).await? == hashes {
            return Ok(());
        }
        Err(LogFault::Tile { path: tile.to_string() })
    }

    /// Checks the store that a log is of against the log's first `size` records: each event that is still there says what
    /// was recorded, none is missing, and none is there that was not recorded. Of an erased event, its place is checked.
    ///
    /// The records must be [checked](Self::check) themselves; the events behind the last record are not looked at.
    ///
    /// # Errors
    /// [`LogFault`] is the first thing that is wrong.
    pub async fn check_store(&self, name: &str, size: u64, store: &dyn EventStore) -> Result<(), LogFault> {
        let own = format!("{STREAMS}{name}");
        let mut records = Records { log: self, size, next: 0, waiting: VecDeque::new() };
        let mut read = Position::START;
        while let Some((index, expected)) = records.peek().await? {
            let page = store.read_all(read, PageSize::default()).await?;
            let Some(last) = page.last() else {
                return Err(LogFault::NoEvent { index, position: expected.position });
            };
            read = last.position;
            for event in &page {
                let Some((index, expected)) = records.peek().await? else { return Ok(()) };
                let position = event.position;
                if position < expected.position {
                    if Reading::is_recorded(event, &own) {
                        return Err(LogFault::NotRecorded { position });
                    }
                } else if position > expected.position {
                    return Err(LogFault::NoEvent { index, position: expected.position });
                } else if !says(event, &expected) {
                    return Err(LogFault::OtherEvent { index, position });
                } else {
                    records.pop();
                }
            }
        }
        Ok(())
    }
}

/// Whether an event is what a record says.
fn says(event: &RecordedEvent, record: &Record) -> bool {
    let placed = event.stream == record.stream && event.version == record.version;
    if event.is_erased() {
        return placed && (event.at == record.at || record.at < event.at && !fits(event));
    }
    // What was erased does not come back.
    record.content != Content::Erased && Reading::again(event, record).record() == *record
}

/// Whether the time of an event stands in records as it is.
fn fits(event: &RecordedEvent) -> bool {
    event.at.as_millis() < 1 << 53
}

/// The records of a log, one after the other.
struct Records<'l> {
    log: &'l LogReader,
    size: u64,
    next: u64,
    waiting: VecDeque<Bytes>,
}

impl Records<'_> {
    async fn peek(&mut self) -> Result<Option<(u64, Record)>, LogFault> {
        if self.waiting.is_empty() && self.next < self.size {
            self.waiting = self.log.bundle(self.next / TILE_WIDTH, self.size).await?.into();
        }
        let Some(bytes) = self.waiting.front() else { return Ok(None) };
        let index = self.next;
        let record = Record::decode(bytes).map_err(|source| LogFault::Record { index, source })?;
        Ok(Some((index, record)))
    }

    fn pop(&mut self) {
        self.waiting.pop_front();
        self.next += 1;
    }
}
