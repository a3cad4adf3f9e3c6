//! A group of appends as the columns of one statement.

use bytes::Bytes;
use daa_core::event::{Position, StreamWrite};
use daa_core::id::{EventKind, StreamId};
use tokio_postgres::types::ToSql;

use super::connection::Session;
use super::engine::Failure;
use crate::checksum::checksum;

/// Wins the place behind the last group, and only then writes. An insert that waits for another transaction and
/// then finds the place taken inserts nothing, and so does everything that is joined with it.
macro_rules! commit {
    ($($named:literal)?) => {
        concat!(
            "WITH won AS (
                INSERT INTO commits (first, last, token) VALUES ($1, $2, $3)
                ON CONFLICT (first) DO NOTHING RETURNING first
            ),", $($named,)? "
            added AS (
                INSERT INTO events (owner, position, stream, version, at, checksum, span, kind, payload)
                SELECT ($4::bigint[])[e.number], $1 + e.number - 1, ($5::bigint[])[e.number],
                    ($6::bigint[])[e.number], ($7::bigint[])[e.number], ($8::bigint[])[e.number],
                    ($9::int[])[e.number], e.kind, e.payload
                FROM won, unnest($10::text[], $11::bytea[]) WITH ORDINALITY AS e (kind, payload, number)
            )
            SELECT first FROM won"
        )
    };
}

const COMMIT: &str = commit!();
/// The same, where streams begin.
const COMMIT_NEW: &str = commit!(
    "named AS (
        INSERT INTO streams (id, owner, name)
        SELECT s.* FROM won, unnest($12::bigint[], $13::bigint[], $14::text[]) AS s
    ),"
);

/// Says whose group has a place.
const TOKEN: &str = "SELECT token FROM commits WHERE first = $1";

#[derive(Debug)]
pub(super) struct Columns {
    /// Where the log ends before it.
    head: Position,
    /// Tells this group from another that wants the same place.
    token: i64,
    new: (Vec<i64>, Vec<i64>, Vec<StreamId>),
    owners: Vec<i64>,
    streams: Vec<i64>,
    versions: Vec<i64>,
    times: Vec<i64>,
    checksums: Vec<i64>,
    /// How many events the write has that begins with an event; 0 for those that follow it.
    spans: Vec<i32>,
    kinds: Vec<EventKind>,
    payloads: Vec<Bytes>,
}

impl Columns {
    pub(super) fn new(head: Position) -> Self {
        Self {
            head,
            token: rand::random(),
            new: Default::default(),
            owners: Vec::new(),
            streams: Vec::new(),
            versions: Vec::new(),
            times: Vec::new(),
            checksums: Vec::new(),
            spans: Vec::new(),
            kinds: Vec::new(),
            payloads: Vec::new(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// The versions of the events, in the order of their positions.
    pub(super) fn versions(&self) -> &[i64] {
        &self.versions
    }

    /// The position of the last event.
    pub(super) const fn last(&self) -> Position {
        Position::new(self.head.get() + self.owners.len() as u64)
    }

    /// The position of the next event.
    pub(super) const fn next(&self) -> Position {
        self.last().next()
    }

    /// Gives a stream its number.
    pub(super) fn name(&mut self, stream: &StreamId, owner: i64) -> i64 {
        let id = self.next().get().cast_signed();
        self.new.0.push(id);
        self.new.1.push(owner);
        self.new.2.push(stream.clone());
        id
    }

    /// Adds the events of a write to a stream that has `before` events.
    pub(super) fn add(&mut self, stream: i64, owner: i64, before: u64, write: &StreamWrite) {
        let mut span = i32::try_from(write.events.len()).unwrap_or(i32::MAX);
        for (event, version) in write.events.iter().zip(before + 1..) {
            let position = self.next().get();
            let (name, kind) = (write.stream.as_str(), event.kind.as_str());
            let sum = checksum(position, version, event.at, name, kind, &event.payload);
            self.owners.push(owner);
            self.streams.push(stream);
            self.versions.push(version.cast_signed());
            self.times.push(event.at.as_millis().cast_signed());
            self.checksums.push(i64::from(sum));
            self.spans.push(std::mem::take(&mut span));
            self.kinds.push(event.kind.clone());
            self.payloads.push(event.payload.clone());
        }
    }

    /// Commits, unless another group has the place: `false`, and nothing was written.
    pub(super) async fn commit(&self, session: &mut Session) -> Result<bool, Failure> {
        let (first, last) = (self.head.next().get().cast_signed(), self.last().get().cast_signed());
        let kinds: Vec<&str> = self.kinds.iter().map(EventKind::as_str).collect();
        let payloads: Vec<&[u8]> = self.payloads.iter().map(|payload| &**payload).collect();
        let (ids, owners, names) = &self.new;
        let names: Vec<&str> = names.iter().map(StreamId::as_str).collect();
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![
            &first,
            &last,
            &self.token,
            &self.owners,
            &self.streams,
            &self.versions,
            &self.times,
            &self.checksums,
            &self.spans,
            &kinds,
            &payloads,
        ];
        let begins: [&(dyn ToSql + Sync); 3] = [ids, owners, &names];
        let sql = if ids.is_empty() {
            COMMIT
        } else {
            values.extend(begins);
            COMMIT_NEW
        };
        Ok(session.query_opt(sql, &values).await?.is_some())
    }

    /// Whether the group that has its place is this one.
    pub(super) async fn is_there(&self, session: &mut Session) -> Result<bool, Failure> {
        let first = self.head.next().get().cast_signed();
        let row = session.query_opt(TOKEN, &[&first]).await?;
        Ok(row.map(|row| row.try_get::<_, i64>(0)).transpose()? == Some(self.token))
    }
}
