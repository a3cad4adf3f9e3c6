//! Durable appends, ours against raw rusqlite with the same settings, table and bytes, in one run:
//!
//!     cargo run --release -p daa-store --example append_speed
//!
//! The raw side writes the same rows (names already replaced by numbers, no index, no checks) with one prepared
//! statement and one transaction per batch. The sides take turns, so that both meet the same disk; each figure is
//! the median of the turns.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_core::event::{Batch, EventStore, ExpectedVersion, NewEvent, StreamWrite, Version};
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
use rusqlite::Connection;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

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
    /// Bytes in a payload.
    payload: usize,
}

const SHAPES: [Shape; 5] = [
    Shape { name: "batches_of_10", batches: 100, events: 10, streams: 1, payload: 200 },
    Shape { name: "batches_of_100", batches: 100, events: 100, streams: 1, payload: 200 },
    Shape { name: "batches_of_1000", batches: 50, events: 1_000, streams: 1, payload: 200 },
    Shape { name: "batches_of_1000_in_100_streams", batches: 50, events: 1_000, streams: 100, payload: 200 },
    Shape { name: "batches_of_10000", batches: 10, events: 10_000, streams: 1, payload: 200 },
];

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    for shape in SHAPES {
        let dir = tempfile::tempdir_in(".")?;
        let store = SqliteEventStore::open(dir.path().join("events.db"), SqliteOptions::default())?;
        let store: Arc<dyn EventStore> = Arc::new(store);
        let mut raw = Raw::open(&dir.path().join("raw.db"))?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for turn in 0..TURNS {
            let batches = batches(shape, turn)?;
            theirs.push(raw.append(&batches)?);
            ours.push(runtime.block_on(append(&store, batches))?);
        }
        let rate = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            let median = times.get(TURNS / 2).copied().unwrap_or_default();
            (shape.batches * shape.events) as f64 / median.as_secs_f64()
        };
        let (ours, theirs) = (rate(&mut ours), rate(&mut theirs));
        println!("{:32} ours {ours:9.0}/s   raw {theirs:9.0}/s   ratio {:.3}", shape.name, ours / theirs);
        runtime.block_on(store.close());
    }
    println!("{}", runtime.block_on(concurrent())?);
    Ok(())
}

fn batches(shape: Shape, turn: usize) -> Outcome<Vec<Batch>> {
    let payload = Bytes::from(vec![b'x'; shape.payload]);
    let per_stream = shape.events / shape.streams;
    let mut batches = Vec::new();
    for at in 0..shape.batches {
        let before = ((turn * shape.batches + at) * per_stream) as u64;
        let mut batch = Batch::new();
        for stream in 0..shape.streams {
            let kind = "ledger.transferred.v1".try_into()?;
            let event = NewEvent::new(kind, Timestamp::from_millis(1_700_000_000_000), payload.clone());
            batch = batch.with(StreamWrite::new(
                format!("ledger/account/{stream}").try_into()?,
                ExpectedVersion::Exact(Version::new(before)),
                vec![event; per_stream],
            ));
        }
        batches.push(batch);
    }
    Ok(batches)
}

async fn append(store: &Arc<dyn EventStore>, batches: Vec<Batch>) -> Outcome<Duration> {
    let start = Instant::now();
    for batch in batches {
        store.append(batch).await?;
    }
    Ok(start.elapsed())
}

/// Many callers with an event each: what group commit is for.
async fn concurrent() -> Outcome<String> {
    const CALLERS: usize = 64;
    const APPENDS: usize = 50;
    let dir = tempfile::tempdir_in(".")?;
    let store = Arc::new(SqliteEventStore::open(dir.path().join("events.db"), SqliteOptions::default())?);
    let start = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..APPENDS {
                    let event = NewEvent::new("tested.v1".try_into()?, Timestamp::EPOCH, "x".into());
                    let stream = format!("caller/{caller}").try_into()?;
                    store.append(Batch::new().with_event(stream, ExpectedVersion::Any, event)).await?;
                }
                Outcome::Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    let rate = (CALLERS * APPENDS) as f64 / start.elapsed().as_secs_f64();
    Ok(format!("{:32} ours {rate:9.0}/s", "single_events_of_64_callers"))
}

/// What one would write by hand.
struct Raw {
    conn: Connection,
    position: i64,
}

impl Raw {
    fn open(path: &Path) -> Outcome<Self> {
        let conn = Connection::open(path)?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "wal_autocheckpoint", 4_000)?;
        conn.pragma_update(None, "cache_size", -16_384)?;
        conn.execute_batch(
            "CREATE TABLE events (
                 position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, version INTEGER NOT NULL,
                 kind INTEGER NOT NULL, at INTEGER NOT NULL, payload BLOB NOT NULL
             ) STRICT",
        )?;
        Ok(Self { conn, position: 0 })
    }

    fn append(&mut self, batches: &[Batch]) -> Outcome<Duration> {
        let start = Instant::now();
        for batch in batches {
            let transaction = self.conn.transaction()?;
            let mut insert =
                transaction.prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for (stream, write) in batch.writes.iter().enumerate() {
                for event in &write.events {
                    self.position += 1;
                    let at = event.at.as_millis().cast_signed();
                    insert.execute((self.position, stream, self.position, 1, at, &*event.payload))?;
                }
            }
            drop(insert);
            transaction.commit()?;
        }
        Ok(start.elapsed())
    }
}
