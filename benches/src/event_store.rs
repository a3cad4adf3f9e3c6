//! Durable appends, ours beside raw rusqlite with the same settings, table and bytes.
//!
//! The raw side writes the same rows (names already replaced by numbers, no index, no checks) with one prepared
//! statement and one transaction per batch. The sides take turns, so that both meet the same disk; each figure is
//! the median of the turns. The files lie in the current directory, since `/tmp` may be no disk.

mod postgres;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_core::event::{Batch, EventStore, ExpectedVersion, NewEvent, StreamWrite, Version};
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
use rusqlite::Connection;

use crate::line::{Better, Line};

const TURNS: usize = 9;

/// How the events come.
#[derive(Clone, Copy, Debug)]
struct Shape {
    name: &'static str,
    /// Appends in one turn.
    batches: usize,
    /// Events in a batch, and streams they are spread over.
    events: usize,
    streams: usize,
}

/// Bytes in a payload.
const PAYLOAD: usize = 200;

const SHAPES: [Shape; 5] = [
    Shape { name: "batches of 10", batches: 100, events: 10, streams: 1 },
    Shape { name: "batches of 100", batches: 100, events: 100, streams: 1 },
    Shape { name: "batches of 1000", batches: 50, events: 1_000, streams: 1 },
    Shape { name: "batches of 1000 in 100 streams", batches: 50, events: 1_000, streams: 100 },
    Shape { name: "batches of 10000", batches: 10, events: 10_000, streams: 1 },
];

pub(crate) fn run() -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut lines: Vec<Line> =
        SHAPES.into_iter().map(|shape| runtime.block_on(side_by_side(shape))).collect();
    lines.push(runtime.block_on(single_events()));
    lines.extend(runtime.block_on(postgres::run()));
    lines
}

async fn side_by_side(shape: Shape) -> Line {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let store = open(dir.path());
    let mut raw = Raw::open(&dir.path().join("raw.db"));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let batches = batches(shape, turn);
        theirs.push(raw.append(&batches));
        let began = Instant::now();
        for batch in batches {
            store.append(batch).await.expect("an append");
        }
        ours.push(began.elapsed().as_secs_f64());
    }
    store.close().await;
    let rate = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        (shape.batches * shape.events) as f64 / times[TURNS / 2]
    };
    Line::alone("event_store", shape.name, "events/s", rate(ours)).beside(
        "rusqlite",
        rate(theirs),
        Better::Higher,
    )
}

fn open(dir: &Path) -> SqliteEventStore {
    SqliteEventStore::open(dir.join("events.db"), SqliteOptions::default()).expect("a store")
}

fn batches(shape: Shape, turn: usize) -> Vec<Batch> {
    let payload = Bytes::from(vec![b'x'; PAYLOAD]);
    let per_stream = shape.events / shape.streams;
    let event = NewEvent::new(
        "ledger.transferred.v1".try_into().expect("a kind"),
        Timestamp::from_millis(1_700_000_000_000),
        payload,
    );
    let batch = |at: usize| {
        let before = ExpectedVersion::Exact(Version::new(((turn * shape.batches + at) * per_stream) as u64));
        (0..shape.streams).fold(Batch::new(), |batch, stream| {
            let stream = format!("ledger/account/{stream}").try_into().expect("a stream");
            batch.with(StreamWrite::new(stream, before, vec![event.clone(); per_stream]))
        })
    };
    (0..shape.batches).map(batch).collect()
}

/// Many callers with an event each: what group commit is for.
async fn single_events() -> Line {
    const CALLERS: usize = 64;
    const APPENDS: usize = 50;
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let store = Arc::new(open(dir.path()));
    let began = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..APPENDS {
                    let event =
                        NewEvent::new("tested.v1".try_into().expect("a kind"), Timestamp::EPOCH, "x".into());
                    let stream = format!("caller/{caller}").try_into().expect("a stream");
                    let batch = Batch::new().with_event(stream, ExpectedVersion::Any, event);
                    store.append(batch).await.expect("an append");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("a caller");
    }
    let rate = (CALLERS * APPENDS) as f64 / began.elapsed().as_secs_f64();
    store.close().await;
    Line::alone("event_store", format!("single events of {CALLERS} callers"), "events/s", rate)
}

/// What one would write by hand.
struct Raw {
    conn: Connection,
    position: i64,
}

impl Raw {
    fn open(path: &Path) -> Self {
        let conn = Connection::open(path).expect("a database");
        conn.pragma_update(None, "journal_mode", "WAL").expect("a setting");
        conn.pragma_update(None, "synchronous", "FULL").expect("a setting");
        conn.pragma_update(None, "wal_autocheckpoint", 4_000).expect("a setting");
        conn.pragma_update(None, "cache_size", -16_384).expect("a setting");
        conn.execute_batch(
            "CREATE TABLE events (
                 position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, version INTEGER NOT NULL,
                 kind INTEGER NOT NULL, at INTEGER NOT NULL, payload BLOB NOT NULL
             ) STRICT",
        )
        .expect("a table");
        Self { conn, position: 0 }
    }

    /// Seconds of appending these.
    fn append(&mut self, batches: &[Batch]) -> f64 {
        let began = Instant::now();
        for batch in batches {
            let transaction = self.conn.transaction().expect("a transaction");
            let mut insert = transaction
                .prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
                .expect("a statement");
            for (stream, write) in batch.writes.iter().enumerate() {
                for event in &write.events {
                    self.position += 1;
                    let at = event.at.as_millis().cast_signed();
                    insert
                        .execute((self.position, stream, self.position, 1, at, &*event.payload))
                        .expect("an insert");
                }
            }
            drop(insert);
            transaction.commit().expect("a commit");
        }
        began.elapsed().as_secs_f64()
    }
}
