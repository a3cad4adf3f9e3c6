//! A commit that fails.

use daa_core::event::{AppendError, EventStore};
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
use rusqlite::Connection;

use crate::support::{append, everything, small};

/// Makes every commit of an append fail: the trigger breaks a constraint that is checked at the commit.
const DOOM: &str = "
    CREATE TABLE doom (stream INTEGER REFERENCES streams (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER doomed AFTER INSERT ON runs BEGIN INSERT INTO doom VALUES (-1); END;";

#[tokio::test]
async fn after_a_failed_commit_the_store_is_read_only_until_it_is_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.db");
    let store = SqliteEventStore::open(&path, SqliteOptions::default()).unwrap();
    append(&store, small(1)).await;
    let intruder = Connection::open(&path).unwrap();
    intruder.execute_batch(DOOM).unwrap();
    drop(intruder);
    let failed = store.append(small(2)).await;
    assert!(matches!(failed, Err(AppendError::Unconfirmed { .. })), "{failed:?}");
    let refused = store.append(small(3)).await;
    assert!(matches!(refused, Err(AppendError::Unavailable { .. })), "{refused:?}");
    assert_eq!(everything(&store).await.len(), 3);
    assert_eq!(store.head().await.unwrap().get(), 3);
    store.close().await;
    let healer = Connection::open(&path).unwrap();
    healer.execute_batch("DROP TRIGGER doomed; DROP TABLE doom").unwrap();
    drop(healer);
    let store = SqliteEventStore::open(&path, SqliteOptions::default()).unwrap();
    append(&store, small(2)).await;
    assert_eq!(everything(&store).await.len(), 6);
}
