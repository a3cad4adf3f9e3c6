//! Several stores in one process.

use std::time::{Duration, Instant};

use daa_core::artifact::Artifacts;
use daa_core::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, Subscription, Version,
};
use daa_core::fault::{Reaction, Retry};
use daa_store::data_dir::DataDir;
use daa_store::open::OpenError;
use daa_store::sqlite::{OpenCheck, SqliteOptions};
use futures_util::FutureExt as _;
use rusqlite::Connection;

use super::{open, shared, try_open};
use crate::support::{append, everything, small};

const PATIENCE: Duration = Duration::from_secs(60);

fn one(stream: &str, expected: u64) -> Batch {
    let at = daa_core::clock::Timestamp::EPOCH;
    let event = NewEvent::new("test.happened.v1".try_into().unwrap(), at, "x".into());
    Batch::new().with_event(stream.try_into().unwrap(), ExpectedVersion::Exact(Version::new(expected)), event)
}

async fn next(subscription: &mut Subscription) -> Position {
    let event = tokio::time::timeout(PATIENCE, subscription.next()).await.expect("an event");
    event.unwrap().expect("the store is open").position
}

#[tokio::test]
async fn a_writer_knows_what_another_has_written_since() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (open(dir.path()), open(dir.path()));
    // Both know the stream, its end, and the name of the kind, before the other goes on.
    for round in 0..20 {
        append(&a, one("shared", 3 * round)).await;
        append(&b, one("shared", 3 * round + 1)).await;
        append(&b, one(&format!("b/{round}"), 0)).await;
        append(&a, one("shared", 3 * round + 2)).await;
        let refused = b.append(one("shared", 3 * round + 2)).await;
        let Err(AppendError::Conflict { actual, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(actual.get(), 3 * round + 3);
        let appended = append(&a, one(&format!("a/{round}"), 0)).await;
        assert_eq!(appended.last.get(), 5 * round + 5);
    }
    let order = a.read_all(Position::START, PageSize::default()).await.unwrap();
    assert_eq!(order, b.read_all(Position::START, PageSize::default()).await.unwrap());
    assert!(order.iter().zip(1..).all(|(event, position)| event.position.get() == position));
}

#[tokio::test]
async fn the_head_is_that_of_the_file_also_before_the_next_look() {
    let dir = tempfile::tempdir().unwrap();
    let rarely = shared().with_poll_interval(Duration::from_secs(3_600));
    let (a, b) = (try_open(dir.path(), rarely.clone()).unwrap(), try_open(dir.path(), rarely).unwrap());
    for round in 1..=20 {
        let appended = append(&a, small(round)).await;
        assert_eq!(b.head().await.unwrap(), appended.last);
        assert_eq!(everything(&b).await.len() as u64, 3 * round);
    }
    // And closing does not wait for the next look.
    tokio::time::timeout(PATIENCE, b.close()).await.expect("the store to close");
}

#[tokio::test]
async fn a_subscription_learns_what_another_store_appends() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (open(dir.path()), open(dir.path()));
    let mut subscription = b.subscribe(Position::START).await.unwrap();
    assert!(subscription.next().now_or_never().is_none());
    for round in 0..20 {
        append(if round % 3 == 0 { &b } else { &a }, small(round)).await;
        for at in 1..=3 {
            assert_eq!(next(&mut subscription).await.get(), 3 * round + at);
        }
    }
}

#[tokio::test]
async fn an_append_that_gets_no_turn_is_refused_in_time_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = try_open(dir.path(), shared().with_patience(Duration::from_millis(50))).unwrap();
    append(&store, small(1)).await;
    let other = Connection::open(dir.path().join("events.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let start = Instant::now();
    let waiting: Vec<_> = (0..50).map(|tag| store.append(small(tag))).collect();
    for refused in futures_util::future::join_all(waiting).await {
        let Err(error) = refused else { panic!("{refused:?}") };
        assert!(matches!(error, AppendError::Unavailable { .. }), "{error:?}");
        assert_eq!(error.retry(), Retry::Later);
    }
    // They wait together, and not one after the other.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(store.head().await.unwrap().get(), 3);
    other.execute_batch("ROLLBACK").unwrap();
    append(&store, small(2)).await;
    assert_eq!(everything(&store).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_waits_for_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let other = Connection::open(dir.path().join("events.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting = Box::pin(store.append(small(1)));
    assert!((&mut waiting).now_or_never().is_none());
    other.execute_batch("COMMIT").unwrap();
    waiting.await.unwrap();
}

/// As in the tests of a store alone: a commit that fails.
#[tokio::test]
async fn a_commit_in_doubt_stops_its_store_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (open(dir.path()), open(dir.path()));
    append(&a, small(1)).await;
    let path = dir.path().join("events.db");
    let intruder = Connection::open(&path).unwrap();
    let doom = "CREATE TABLE doom (stream INTEGER REFERENCES streams (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER doomed AFTER INSERT ON runs BEGIN INSERT INTO doom VALUES (-1); END;";
    intruder.execute_batch(doom).unwrap();
    let failed = a.append(small(2)).await;
    assert!(matches!(failed, Err(AppendError::Unconfirmed { .. })), "{failed:?}");
    intruder.execute_batch("DROP TRIGGER doomed; DROP TABLE doom").unwrap();
    let refused = a.append(small(3)).await;
    assert!(matches!(refused, Err(AppendError::Unavailable { .. })), "{refused:?}");
    append(&b, small(2)).await;
    assert_eq!(everything(&a).await.len(), 6);
    assert_eq!(a.head().await.unwrap().get(), 6);
    a.close().await;
    append(&open(dir.path()), small(3)).await;
    assert_eq!(everything(&b).await.len(), 9);
}

#[tokio::test]
async fn the_two_ways_to_open_never_mix() {
    let dir = tempfile::tempdir().unwrap();
    let in_use = |options| match try_open(dir.path(), options) {
        Err(OpenError::InUse { .. }) => true,
        Ok(_) => false,
        Err(error) => panic!("{error:?}"),
    };
    let alone = SqliteOptions::default;
    let (a, b) = (open(dir.path()), open(dir.path()));
    assert!(in_use(alone()));
    a.close().await;
    assert!(in_use(alone()), "the other is still open");
    assert!(!in_use(shared()));
    b.close().await;
    let only = try_open(dir.path(), alone()).unwrap();
    assert!(in_use(shared()) && in_use(alone()));
    append(&only, small(1)).await;
    only.close().await;
    assert_eq!(everything(&open(dir.path())).await.len(), 3);
}

#[tokio::test]
async fn another_file_in_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    let other = daa_store::sqlite::SqliteEventStore::open(dir.path().join("other.db"), shared());
    assert!(matches!(other, Err(OpenError::InUse { .. })), "{other:?}");
    assert!(!dir.path().join("other.db").exists());
}

#[tokio::test]
async fn an_opening_that_does_not_end_is_not_waited_for_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let opening = std::fs::File::create(dir.path().join("lock.opening")).unwrap();
    opening.lock().unwrap();
    let refused = try_open(dir.path(), shared().with_patience(Duration::from_millis(20)));
    assert!(matches!(refused, Err(OpenError::InUse { .. })), "{refused:?}");
    drop(opening);
    open(dir.path());
}

#[tokio::test]
async fn the_last_to_close_leaves_no_log_behind() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("events.db-wal");
    let stores = [open(dir.path()), open(dir.path()), open(dir.path())];
    for (tag, store) in (0..).zip(&stores) {
        append(store, small(tag)).await;
    }
    for (closed, store) in stores.iter().enumerate() {
        assert!(log.exists(), "{closed} closed");
        store.close().await;
        if let Some(open) = stores.get(closed + 1) {
            assert_eq!(everything(open).await.len(), 9 + 3 * closed);
            append(open, small(9)).await;
        }
    }
    assert!(!log.exists());
    assert_eq!(everything(&open(dir.path())).await.len(), 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opens_and_checks_every_page_while_another_writes() {
    let dir = tempfile::tempdir().unwrap();
    let writer = std::sync::Arc::new(open(dir.path()));
    let writing = tokio::spawn({
        let writer = writer.clone();
        async move {
            for tag in 0.. {
                if writer.append(small(tag)).await.is_err() {
                    return;
                }
            }
        }
    });
    for round in 0..30 {
        let check = if round % 5 == 0 { OpenCheck::Header } else { OpenCheck::Pages };
        let store = try_open(dir.path(), shared().with_check(check)).unwrap();
        append(&store, small(round)).await;
        store.close().await;
    }
    writer.close().await;
    writing.await.unwrap();
    everything(&open(dir.path())).await;
}

#[tokio::test]
async fn a_version_that_another_brought_is_refused_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    let file = Connection::open(dir.path().join("events.db")).unwrap();
    file.execute_batch("PRAGMA user_version = 7").unwrap();
    let refused = try_open(dir.path(), shared());
    assert!(matches!(refused, Err(OpenError::SchemaTooNew { found: 7, supported: 1, .. })), "{refused:?}");
}

#[tokio::test]
async fn data_directories_share_events_and_artefacts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let a = DataDir::open_with(&path, shared()).unwrap();
    // A put that is under way, as another process has it, is left alone by those who come.
    let under_way = path.join("artifacts/unfinished/half");
    std::fs::write(&under_way, "ha").unwrap();
    let b = DataDir::open_with(&path, shared()).unwrap();
    assert!(under_way.exists());
    append(&**a.events(), small(1)).await;
    let digest = a.artifacts().put("weights".into()).await.unwrap();
    assert_eq!(b.artifacts().get(&digest).await.unwrap(), Some("weights".into()));
    assert_eq!(everything(&**b.events()).await.len(), 3);
    assert!(matches!(DataDir::open(&path), Err(OpenError::InUse { .. })));
    a.close().await;
    append(&**b.events(), small(2)).await;
    b.close().await;
    let alone = DataDir::open(&path).unwrap();
    assert!(!under_way.exists());
    assert!(matches!(DataDir::open_with(&path, shared()), Err(OpenError::InUse { .. })));
    assert_eq!(everything(&**alone.events()).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_artefact_put_at_two_places_at_once_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let (a, b) = (DataDir::open_with(&path, shared()).unwrap(), DataDir::open_with(&path, shared()).unwrap());
    for round in 0..40_u8 {
        let bytes = bytes::Bytes::from(vec![round; 300_000]);
        let put = |data: &DataDir| {
            let (artifacts, bytes) = (data.artifacts().clone(), bytes.clone());
            tokio::spawn(async move { artifacts.put(bytes).await.unwrap() })
        };
        let (first, second) = (put(&a), put(&b));
        assert_eq!(first.await.unwrap(), second.await.unwrap());
        let digest = daa_core::digest::Digest::of(&bytes);
        assert_eq!(b.artifacts().get(&digest).await.unwrap(), Some(bytes));
    }
    assert_eq!(std::fs::read_dir(path.join("artifacts/unfinished")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_store_that_is_no_data_directory_does_not_become_one_under_its_user() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let refused = DataDir::open_with(dir.path(), shared());
    assert!(matches!(refused, Err(OpenError::InUse { .. })), "{refused:?}");
    store.close().await;
    DataDir::open_with(dir.path(), shared()).unwrap();
}
