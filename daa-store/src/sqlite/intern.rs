//! The numbers that stand for names in the file, and where each stream ends.

use std::collections::HashMap;

use daa_core::id::{EventKind, StreamId};
use rusqlite::{Connection, OptionalExtension};

/// More names than this are not kept in memory.
const REMEMBERED: usize = 100_000;

const FIND_STREAM: &str = "
    SELECT id, coalesce(
        (SELECT version + length - 1 FROM runs WHERE stream = id ORDER BY version DESC LIMIT 1), 0)
    FROM streams WHERE name = ?1";
const ADD_STREAM: &str = "INSERT INTO streams (name) VALUES (?1)";
const FIND_KIND: &str = "SELECT id FROM kinds WHERE name = ?1";
const ADD_KIND: &str = "INSERT INTO kinds (name) VALUES (?1)";

/// What the writer knows about a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Its number, once it has one.
    pub(super) id: Option<i64>,
    /// The events it has, those of the open transaction included.
    pub(super) version: u64,
}

/// Streams as the writer sees them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: HashMap<StreamId, usize>,
    known: Vec<Known>,
}

impl Streams {
    /// The slot of a stream; read from the file when it is not known yet.
    pub(super) fn slot(&mut self, conn: &Connection, stream: &StreamId) -> rusqlite::Result<usize> {
        if let Some(&slot) = self.slots.get(stream) {
            return Ok(slot);
        }
        let found = conn
            .prepare_cached(FIND_STREAM)?
            .query_row([stream.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        self.known.push(match found {
            Some((id, version)) => Known { id: Some(id), version },
            None => Known { id: None, version: 0 },
        });
        let slot = self.known.len() - 1;
        self.slots.insert(stream.clone(), slot);
        Ok(slot)
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Known> {
        self.known.get_mut(slot)
    }

    /// Forgets everything if there is too much of it; only between transactions.
    pub(super) fn shrink(&mut self) {
        if self.known.len() > REMEMBERED {
            *self = Self::default();
        }
    }
}

/// Gives a stream a number.
pub(super) fn add_stream(conn: &Connection, stream: &StreamId) -> rusqlite::Result<i64> {
    conn.prepare_cached(ADD_STREAM)?.insert([stream.as_str()])
}

/// Kinds of events as the writer sees them.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    ids: HashMap<EventKind, i64>,
    /// Events of one kind come in rows.
    latest: Option<(EventKind, i64)>,
}

impl Kinds {
    /// The number of a kind; a new one gets a number.
    pub(super) fn id(&mut self, conn: &Connection, kind: &EventKind) -> rusqlite::Result<i64> {
        if let Some((latest, id)) = &self.latest
            && latest == kind
        {
            return Ok(*id);
        }
        let id = match self.find(conn, kind)? {
            Some(id) => id,
            None => {
                let id = conn.prepare_cached(ADD_KIND)?.insert([kind.as_str()])?;
                self.ids.insert(kind.clone(), id);
                id
            }
        };
        self.latest = Some((kind.clone(), id));
        Ok(id)
    }

    /// The number of a kind that has one.
    pub(super) fn find(&mut self, conn: &Connection, kind: &EventKind) -> rusqlite::Result<Option<i64>> {
        if let Some(&id) = self.ids.get(kind) {
            return Ok(Some(id));
        }
        let found =
            conn.prepare_cached(FIND_KIND)?.query_row([kind.as_str()], |row| row.get(0)).optional()?;
        if let Some(id) = found {
            self.ids.insert(kind.clone(), id);
        }
        Ok(found)
    }

    /// Forgets everything if there is too much of it; only between transactions.
    pub(super) fn shrink(&mut self) {
        if self.ids.len() > REMEMBERED {
            *self = Self::default();
        }
    }
}
