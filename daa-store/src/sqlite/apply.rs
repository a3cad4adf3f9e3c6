//! Turns batches into rows, inside a transaction that somebody else commits.

use daa_core::event::{
    AppendError, Appended, Batch, ExpectedVersion, Position, RecordedEvent, StreamWrite, Version,
};
use daa_core::id::StreamId;
use rusqlite::{Connection, Statement};

use super::erase::{self, Erased, Prefix};
use super::intern::{Kinds, Known, Streams, add_stream};
use crate::checksum::checksum;

pub(super) const ADD_EVENT: &str = "
    INSERT INTO events (position, stream, version, kind, at, checksum, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const ADD_RUN: &str = "INSERT INTO runs (stream, version, position, length) VALUES (?1, ?2, ?3, ?4)";
const HEAD: &str = "SELECT coalesce(max(position), 0) FROM events";

/// Why a batch was not applied.
#[derive(Debug)]
pub(super) enum Refused {
    /// Nothing was written for it, and the transaction goes on: a stream is elsewhere, or what is to be erased is
    /// damaged.
    Answer(AppendError),
    /// The engine failed. The transaction must be rolled back.
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

/// The log as the writer sees it, the open transaction included. Empty it knows nothing, and has to
/// [catch up](Self::catch_up); so it has after a rollback.
#[derive(Debug, Default)]
pub(super) struct Applier {
    head: u64,
    streams: Streams,
    kinds: Kinds,
}

/// The last position.
pub(super) fn head(conn: &Connection) -> rusqlite::Result<Position> {
    conn.prepare_cached(HEAD)?.query_row([], |row| row.get(0)).map(Position::new)
}

impl Applier {
    /// Reads what is committed, in an open transaction. The numbers of kinds stay what they were: those it knows
    /// are committed, and never change.
    pub(super) fn catch_up(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        self.streams = Streams::default();
        self.head = head(conn)?.get();
        Ok(())
    }

    pub(super) const fn head(&self) -> Position {
        Position::new(self.head)
    }

    /// Keeps memory bounded; only between transactions.
    pub(super) fn shrink(&mut self) {
        self.streams.shrink();
        self.kinds.shrink();
    }

    /// Writes a batch whose bounds were checked.
    pub(super) fn apply(&mut self, conn: &Connection, batch: &Batch) -> Result<Appended, Refused> {
        let slots = self.claim(conn, batch)?;
        let first = self.head + 1;
        let mut add_run = conn.prepare_cached(ADD_RUN)?;
        let mut add_event = conn.prepare_cached(ADD_EVENT)?;
        for (write, &(slot, before)) in batch.writes.iter().zip(&slots) {
            let stream = self.stream_id(conn, write, slot)?;
            add_run.execute((stream, before + 1, self.head + 1, write.events.len()))?;
            self.write(conn, &mut add_event, write, stream, before)?;
        }
        Ok(Appended::new(Position::new(first), Position::new(self.head)))
    }

    /// Moves the batch's streams forward by its writes: for each write the slot of its stream, and the version
    /// it starts from. On a conflict everything is moved back.
    fn claim(&mut self, conn: &Connection, batch: &Batch) -> Result<Vec<(usize, u64)>, Refused> {
        let mut claimed = Vec::with_capacity(batch.writes.len());
        for write in &batch.writes {
            let slot = self.streams.slot(conn, &write.stream)?;
            let Some(known) = self.streams.get_mut(slot) else { continue };
            let actual = Version::new(known.version);
            if let ExpectedVersion::Exact(expected) = write.expected
                && expected != actual
            {
                self.give_back(&claimed);
                let stream = write.stream.clone();
                return Err(Refused::Answer(AppendError::Conflict { stream, expected, actual }));
            }
            claimed.push((slot, known.version));
            known.version += write.events.len() as u64;
        }
        Ok(claimed)
    }

    fn give_back(&mut self, claimed: &[(usize, u64)]) {
        for &(slot, before) in claimed.iter().rev() {
            if let Some(known) = self.streams.get_mut(slot) {
                known.version = before;
            }
        }
    }

    fn write(
        &mut self,
        conn: &Connection,
        add_event: &mut Statement<'_>,
        write: &StreamWrite,
        stream: i64,
        before: u64,
    ) -> rusqlite::Result<()> {
        for (event, version) in write.events.iter().zip(before + 1..) {
            let position = self.head + 1;
            let kind = self.kinds.id(conn, &event.kind)?;
            let (name, kind_name) = (write.stream.as_str(), event.kind.as_str());
            let sum = checksum(position, version, event.at, name, kind_name, &event.payload);
            let at = event.at.as_millis().cast_signed();
            add_event.execute((position, stream, version, kind, at, sum, &*event.payload))?;
            self.head = position;
        }
        Ok(())
    }

    /// Erases the events of a stream up to a version, or as many of them as one transaction may.
    pub(super) fn erase(
        &mut self,
        conn: &Connection,
        stream: &StreamId,
        up_to: Version,
    ) -> Result<Erased, Refused> {
        let slot = self.streams.slot(conn, stream)?;
        let Some(&mut Known { id: Some(id), version }) = self.streams.get_mut(slot) else {
            return Ok(Erased { events: 0, complete: true });
        };
        let kind = self.kinds.find(conn, &RecordedEvent::erased_kind())?;
        let prefix = Prefix { stream: id, up_to: up_to.get().min(version) };
        let (found, complete) = prefix.unerased(conn, kind)?;
        if !found.is_empty() {
            let kind = self.kinds.id(conn, &RecordedEvent::erased_kind())?;
            found.iter().try_for_each(|event| erase::rewrite(conn, event, id, kind))?;
        }
        Ok(Erased { events: found.len() as u64, complete })
    }

    fn stream_id(&mut self, conn: &Connection, write: &StreamWrite, slot: usize) -> rusqlite::Result<i64> {
        if let Some(id) = self.streams.get_mut(slot).and_then(|known| known.id) {
            return Ok(id);
        }
        let id = add_stream(conn, &write.stream)?;
        if let Some(known) = self.streams.get_mut(slot) {
            known.id = Some(id);
        }
        Ok(id)
    }
}
