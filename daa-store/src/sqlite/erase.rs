//! Takes payloads out of rows, inside a transaction that somebody else commits.

use daa_core::clock::Timestamp;
use daa_core::event::{AppendError, Position, ReadError, RecordedEvent, Version};
use daa_core::id::StreamId;
use rusqlite::{Connection, OptionalExtension};

use super::apply::{ADD_EVENT, Refused};
use super::read::Names;
use crate::checksum::checksum;

/// One transaction erases no more events or payload bytes than this, so that writers are not kept waiting.
pub(super) const MOST_EVENTS: usize = 10_000;
const MOST_BYTES: usize = 32 << 20;

/// As for reading a stream, but bounded by a version: `?2 + 1` to `?3`.
const RANGE: &str = "
    SELECT e.position, e.stream, e.version, e.kind, e.at, e.checksum, e.payload
    FROM runs r CROSS JOIN events e
        ON e.position BETWEEN r.position + max(0, ?2 + 1 - r.version)
            AND r.position + min(r.length - 1, ?3 - r.version)
    WHERE r.stream = ?1 AND r.version <= ?3 AND r.version >= coalesce(
        (SELECT max(version) FROM runs WHERE stream = ?1 AND version <= ?2 + 1), 0)
    ORDER BY r.version, e.position LIMIT ?4";
const KIND_AT: &str = "
    SELECT e.kind FROM runs r CROSS JOIN events e ON e.position = r.position + ?2 - r.version
    WHERE r.stream = ?1 AND r.version = (SELECT max(version) FROM runs WHERE stream = ?1 AND version <= ?2)";
const REMOVE: &str = "DELETE FROM events WHERE position = ?1";

/// What one transaction erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Erased {
    /// So many events.
    pub(super) events: u64,
    /// And nothing is left to erase.
    pub(super) complete: bool,
}

/// What stays of an event.
#[derive(Debug)]
pub(super) struct Kept {
    position: Position,
    stream: StreamId,
    version: Version,
    at: Timestamp,
}

/// The events of a stream from the first up to a version that it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    /// The number of the stream.
    pub(super) stream: i64,
    pub(super) up_to: u64,
}

impl Prefix {
    /// The first of the events that are not erased, as many as one transaction may erase; and whether these are
    /// all. `erased` is the number of the kind that erased events have, if there are any.
    ///
    /// Each is checked: what is damaged is reported, and not given a checksum that says it is whole.
    pub(super) fn unerased(
        self,
        conn: &Connection,
        erased: Option<i64>,
    ) -> Result<(Vec<Kept>, bool), Refused> {
        let start = match erased {
            Some(kind) => self.erased_so_far(conn, kind)?,
            None => 0,
        };
        let mut names = Names::default();
        let mut statement = conn.prepare_cached(RANGE)?;
        let mut rows = statement.query((self.stream, start, self.up_to, MOST_EVENTS))?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while bytes < MOST_BYTES
            && let Some(row) = rows.next()?
        {
            let RecordedEvent { position, stream, version, at, payload, .. } =
                names.event(conn, row).map_err(unreadable)?;
            if version.get() != start + found.len() as u64 + 1 {
                let detail = format!("the event at position {position} is out of the order of {stream}");
                return Err(Refused::Answer(AppendError::Corrupt { detail }));
            }
            bytes += payload.len();
            found.push(Kept { position, stream, version, at });
        }
        let complete = start + found.len() as u64 >= self.up_to;
        if found.is_empty() && !complete {
            let detail = format!("version {} of stream number {} is missing", start + 1, self.stream);
            return Err(Refused::Answer(AppendError::Corrupt { detail }));
        }
        Ok((found, complete))
    }

    /// How many of its events are erased. They are always the first ones, so a binary search finds their end.
    fn erased_so_far(self, conn: &Connection, kind: i64) -> rusqlite::Result<u64> {
        let mut kind_at = conn.prepare_cached(KIND_AT)?;
        let (mut erased, mut unerased) = (0, self.up_to + 1);
        while unerased - erased > 1 {
            let version = erased + (unerased - erased) / 2;
            let found: Option<i64> =
                kind_at.query_row((self.stream, version), |row| row.get(0)).optional()?;
            if found == Some(kind) {
                erased = version;
            } else {
                unerased = version;
            }
        }
        Ok(erased)
    }
}

fn unreadable(error: ReadError) -> Refused {
    Refused::Answer(match error {
        ReadError::Corrupt { detail } => AppendError::Corrupt { detail },
        error => AppendError::Unavailable { source: error.into() },
    })
}

/// Puts what stays in the place of the event. Removing the row first lets the engine merge pages that become
/// empty, which a row that only shrinks does not.
pub(super) fn rewrite(conn: &Connection, event: &Kept, stream: i64, kind: i64) -> rusqlite::Result<()> {
    let (position, version) = (event.position.get(), event.version.get());
    let sum = checksum(position, version, event.at, event.stream.as_str(), RecordedEvent::ERASED, b"");
    let at = event.at.as_millis().cast_signed();
    conn.prepare_cached(REMOVE)?.execute([position])?;
    conn.prepare_cached(ADD_EVENT)?.execute((position, stream, version, kind, at, sum, &b""[..]))?;
    Ok(())
}
