//! Processes are killed while they keep a read model: in the end it is the one that the events make.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::event::{Batch, EventStore, ExpectedVersion, NewEvent, Position};
use daa_core::projection::ModelVersion;
use daa_core::projection::testing::{POISON, amount};
use daa_core::seed::Seed;
use rand::RngExt as _;

use super::process::{Process, store};
use super::sqlite;

/// Appends events to three streams, one in ten of which the projection refuses; answers the last position.
pub(crate) async fn happen(store: &dyn EventStore, events: u64) -> Position {
    let mut last = store.head().await.unwrap();
    for _ in 0..events {
        let number = last.get();
        let payload = if number % 10 == 9 { POISON } else { "x" };
        let kind = "tally.done.v1".parse().unwrap();
        let event = NewEvent::new(kind, Timestamp::EPOCH, payload.as_bytes().into());
        let stream = format!("s{}", number % 3).parse().unwrap();
        last = store.append(Batch::new().with_event(stream, ExpectedVersion::Any, event)).await.unwrap().last;
    }
    last
}

/// What the rows must be at a position.
pub(crate) fn rows_at(position: Position, version: u32) -> BTreeMap<String, i64> {
    let mut rows = BTreeMap::new();
    for number in (0..position.get()).filter(|number| number % 10 != 9) {
        *rows.entry(format!("s{}", number % 3)).or_default() += amount(ModelVersion::new(version));
    }
    rows
}

/// Kills processes at random moments while events happen, first of version 1, then of version 2 that builds the model
/// anew; answers the last position, which readers see at the end.
pub(crate) async fn kill_at_random(dir: &Path, schema: Option<&str>, seed: u64) -> Position {
    let (store, mut rng) = (store(dir), Seed::from_u64(seed).child("kill").rng());
    let mut last = Position::START;
    for version in [1, 2] {
        for _ in 0..8 {
            last = happen(&store, 40).await;
            let mut process = Process::spawn(dir, version, schema);
            // Some die before they are ready.
            if rng.random_range(0..4) > 0 {
                process.says("ready");
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..120))).await;
            drop(process);
        }
        let mut process = Process::spawn(dir, version, schema);
        process.says("ready");
        process.reach(last);
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_on_sqlite_counts_every_event_once_however_often_its_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let last = kill_at_random(dir.path(), None, 11).await;
    let model = sqlite::open(dir.path(), ModelVersion::new(2));
    assert_eq!(sqlite::rows(&model).await, Some(rows_at(last, 2)));
}
