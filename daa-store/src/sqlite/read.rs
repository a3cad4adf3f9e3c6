//! Turns rows into events, and checks that they are the ones that were written.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_core::event::{PageSize, Position, ReadError, RecordedEvent, Version};
use daa_core::id::{EventKind, IdError, StreamId};
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::options::SqliteOptions;
use super::{apply, connection, engine};
use crate::checksum::checksum;

/// More names than this are not kept in memory.
const REMEMBERED: usize = 10_000;

const ALL: &str = "
    SELECT position, stream, version, kind, at, checksum, payload
    FROM events WHERE position > ?1 ORDER BY position LIMIT ?2";
/// Starts at the run that holds version `?2 + 1`, or at the next one.
const STREAM: &str = "
    SELECT e.position, e.stream, e.version, e.kind, e.at, e.checksum, e.payload
    FROM runs r CROSS JOIN events e
        ON e.position BETWEEN r.position + max(0, ?2 + 1 - r.version) AND r.position + r.length - 1
    WHERE r.stream = ?1 AND r.version >= coalesce(
        (SELECT max(version) FROM runs WHERE stream = ?1 AND version <= ?2 + 1), 0)
    ORDER BY r.version, e.position LIMIT ?3";
const STREAM_NUMBER: &str = "SELECT id FROM streams WHERE name = ?1";
const STREAM_NAME: &str = "SELECT name FROM streams WHERE id = ?1";
const KIND_NAME: &str = "SELECT name FROM kinds WHERE id = ?1";

/// A connection that reads, and the names it has met.
#[derive(Debug)]
pub(super) struct Reader {
    conn: Connection,
    names: Names,
}

impl Reader {
    pub(super) fn open(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Self> {
        Ok(Self { conn: connection::reader(path, options)?, names: Names::default() })
    }

    pub(super) fn head(&self) -> Result<Position, ReadError> {
        apply::head(&self.conn).map_err(engine::read_error)
    }

    pub(super) fn all(&mut self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        let Ok(start) = i64::try_from(after.get()) else { return Ok(Vec::new()) };
        let events = self.rows(ALL, (start, page.get()))?;
        in_order(&events, after.get(), "position", |event| event.position.get())?;
        Ok(events)
    }

    pub(super) fn stream(
        &mut self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        // The query computes with the version behind `after`.
        let Some(start) = i64::try_from(after.get()).ok().filter(|&start| start < i64::MAX) else {
            return Ok(Vec::new());
        };
        let Some(number) = self.number(stream).map_err(engine::read_error)? else { return Ok(Vec::new()) };
        let events = self.rows(STREAM, (number, start, page.get()))?;
        in_order(&events, after.get(), "version", |event| event.version.get())?;
        match events.iter().find(|event| event.stream != *stream) {
            Some(event) => Err(damaged(event.position.get(), "stands in another stream's index")),
            None => Ok(events),
        }
    }

    fn number(&self, stream: &StreamId) -> rusqlite::Result<Option<i64>> {
        self.conn.prepare_cached(STREAM_NUMBER)?.query_row([stream.as_str()], |row| row.get(0)).optional()
    }

    fn rows(&mut self, query: &str, params: impl Params) -> Result<Vec<RecordedEvent>, ReadError> {
        let Self { conn, names } = self;
        let mut statement = conn.prepare_cached(query).map_err(engine::read_error)?;
        let mut rows = statement.query(params).map_err(engine::read_error)?;
        let mut events = Vec::new();
        let mut bytes = 0;
        while bytes < PageSize::MAX_BYTES
            && let Some(row) = rows.next().map_err(engine::read_error)?
        {
            let event = names.event(conn, row)?;
            bytes += event.payload.len();
            events.push(event);
        }
        Ok(events)
    }
}

/// Names by their number in the file. What is committed never changes, so they stay true.
#[derive(Debug, Default)]
pub(super) struct Names {
    streams: HashMap<i64, StreamId>,
    kinds: HashMap<i64, EventKind>,
}

impl Names {
    /// The event in a row of position, stream, version, kind, time, checksum and payload.
    pub(super) fn event(&mut self, conn: &Connection, row: &Row<'_>) -> Result<RecordedEvent, ReadError> {
        let raw = Raw::new(row).map_err(engine::read_error)?;
        let stream = name(conn, STREAM_NAME, &mut self.streams, raw.stream, StreamId::new)?;
        let kind = name(conn, KIND_NAME, &mut self.kinds, raw.kind, EventKind::new)?;
        let (position, version) = (raw.position.cast_unsigned(), raw.version.cast_unsigned());
        let at = Timestamp::from_millis(raw.at.cast_unsigned());
        let sum = checksum(position, version, at, stream.as_str(), kind.as_str(), raw.payload);
        if i64::from(sum) != raw.checksum {
            return Err(damaged(position, "does not have the content that was written"));
        }
        let payload = Bytes::copy_from_slice(raw.payload);
        Ok(RecordedEvent::new(Position::new(position), stream, Version::new(version), kind, at, payload))
    }
}

/// A row, before anything about it is believed.
struct Raw<'a> {
    position: i64,
    stream: i64,
    version: i64,
    kind: i64,
    at: i64,
    checksum: i64,
    payload: &'a [u8],
}

impl<'a> Raw<'a> {
    fn new(row: &'a Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            position: row.get(0)?,
            stream: row.get(1)?,
            version: row.get(2)?,
            kind: row.get(3)?,
            at: row.get(4)?,
            checksum: row.get(5)?,
            payload: row.get_ref(6)?.as_blob()?,
        })
    }
}

fn name<T: Clone>(
    conn: &Connection,
    query: &str,
    known: &mut HashMap<i64, T>,
    number: i64,
    parse: impl FnOnce(String) -> Result<T, IdError>,
) -> Result<T, ReadError> {
    if let Some(name) = known.get(&number) {
        return Ok(name.clone());
    }
    let text: Option<String> = conn
        .prepare_cached(query)
        .and_then(|mut statement| statement.query_row([number], |row| row.get(0)).optional())
        .map_err(engine::read_error)?;
    let corrupt = |detail| ReadError::Corrupt { detail };
    let text = text.ok_or_else(|| corrupt(format!("there is no name for number {number}")))?;
    let name = parse(text).map_err(|error| corrupt(format!("the name of number {number}: {error}")))?;
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(number, name.clone());
    Ok(name)
}

fn in_order(
    events: &[RecordedEvent],
    after: u64,
    what: &str,
    number: impl Fn(&RecordedEvent) -> u64,
) -> Result<(), ReadError> {
    let expected = after.saturating_add(1)..;
    match events.iter().zip(expected).find(|(event, expected)| number(event) != *expected) {
        Some((event, expected)) => {
            let detail =
                format!("{what} {expected} is missing before the event at position {}", event.position);
            Err(ReadError::Corrupt { detail })
        }
        None => Ok(()),
    }
}

fn damaged(position: u64, what: &str) -> ReadError {
    ReadError::Corrupt { detail: format!("the event at position {position} {what}") }
}
