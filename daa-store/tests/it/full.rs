//! A store that has no room left.

use std::sync::Arc;
use std::time::Duration;

use daa_core::event::{AppendError, EventStore};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};

use crate::support::{append, everything, of_size, small};

const MAX: u64 = 256 << 10;

#[tokio::test]
async fn a_full_store_says_so_keeps_what_it_has_and_goes_on_with_more_room() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.db");
    let store = SqliteEventStore::open(&path, SqliteOptions::default().with_max_bytes(MAX)).unwrap();
    let mut written = 0;
    let error = loop {
        match store.append(of_size(written, 5_000)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "the limit does not hold");
    };
    assert!(matches!(error, AppendError::Full { .. }), "{error:?}");
    assert_eq!((error.fault(), error.retry()), (Fault::Environment, Retry::Later));
    assert!(written > 5, "only {written} batches went in");
    let before = everything(&store).await;
    assert_eq!(before.len() as u64, 3 * written);
    // Still full, still the same; and what is small enough still goes in.
    assert!(matches!(store.append(of_size(written, 5_000)).await, Err(AppendError::Full { .. })));
    assert_eq!(everything(&store).await, before);
    append(&store, small(written)).await;
    store.close().await;
    assert!(std::fs::metadata(&path).unwrap().len() <= MAX);
    let store = SqliteEventStore::open(&path, SqliteOptions::default()).unwrap();
    append(&store, of_size(written + 1, 5_000)).await;
    let after = everything(&store).await;
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), before.len() + 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_does_not_fit_takes_no_other_of_its_group_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default().with_max_bytes(MAX);
    let store = Arc::new(SqliteEventStore::open(dir.path().join("events.db"), options).unwrap());
    // Large and small ones wait together, so that they share groups.
    let appends: Vec<_> = (0..60_u64)
        .map(|tag| {
            let store = store.clone();
            let large = tag % 4 == 0;
            let batch = if large { of_size(tag, 200_000) } else { small(tag) };
            tokio::spawn(async move { (large, store.append(batch).await) })
        })
        .collect();
    for append in appends {
        let answered = tokio::time::timeout(Duration::from_secs(60), append).await.expect("an answer");
        match answered.unwrap() {
            (true, Err(AppendError::Full { .. })) | (false, Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(everything(&*store).await.len(), 45 * 3);
}
