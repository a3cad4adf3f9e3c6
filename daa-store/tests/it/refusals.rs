//! What does not open, and that it stays as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daa_core::artifact::Artifacts;
use daa_core::event::{EventStore, Position};
use daa_core::fault::{Reaction, Retry};
use daa_store::data_dir::DataDir;
use daa_store::open::OpenError;
use daa_store::sqlite::{OpenCheck, SqliteEventStore, SqliteOptions};
use rusqlite::Connection;

use crate::support::{append, everything, small};

/// Every file below a directory with its content, but for the lock.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(content(&path));
        } else if path.file_name().unwrap() != "lock" {
            files.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    files
}

fn open(dir: &Path) -> Result<SqliteEventStore, OpenError> {
    SqliteEventStore::open(dir.join("events.db"), SqliteOptions::default())
}

/// A closed store with a few events in it.
async fn written(dir: &Path) {
    let store = open(dir).unwrap();
    for tag in 0..20 {
        append(&store, small(tag)).await;
    }
    store.close().await;
}

#[test]
fn a_file_that_is_no_database_is_foreign_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("events.db"), "my shopping list, longer than the sixteen bytes of a magic")
        .unwrap();
    let before = content(dir.path());
    let refused = open(dir.path());
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
    assert_eq!(content(dir.path()), before);
}

#[test]
fn a_database_of_another_application_is_foreign_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let theirs = Connection::open(dir.path().join("events.db")).unwrap();
    theirs.execute_batch("CREATE TABLE events (id); PRAGMA user_version = 1;").unwrap();
    theirs.close().unwrap();
    let before = content(dir.path());
    let refused = open(dir.path());
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
    assert_eq!(content(dir.path()), before);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let file = Connection::open(dir.path().join("events.db")).unwrap();
    file.execute_batch("PRAGMA user_version = 7").unwrap();
    file.close().unwrap();
    let before = content(dir.path());
    let refused = open(dir.path()).unwrap_err();
    assert!(matches!(refused, OpenError::SchemaTooNew { found: 7, supported: 1, .. }), "{refused:?}");
    assert_eq!(refused.retry(), Retry::Never);
    assert_eq!(content(dir.path()), before);
}

#[tokio::test]
async fn a_store_in_use_is_refused_until_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    append(&first, small(1)).await;
    let second = open(dir.path()).unwrap_err();
    assert!(matches!(second, OpenError::InUse { .. }), "{second:?}");
    assert_eq!(second.retry(), Retry::Later);
    append(&first, small(2)).await;
    first.close().await;
    let again = open(dir.path()).unwrap();
    assert_eq!(everything(&again).await.len(), 6);
}

#[tokio::test]
async fn dropping_a_store_frees_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    append(&store, small(1)).await;
    let subscription = store.subscribe(Position::START).await.unwrap();
    drop(store);
    assert_eq!(everything(&open(dir.path()).unwrap()).await.len(), 3);
    drop(subscription);
}

#[test]
fn a_directory_that_is_missing_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let refused = open(&dir.path().join("missing"));
    assert!(matches!(refused, Err(OpenError::Unavailable { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_lost_database_beside_its_log_is_corrupt_and_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("events.db-wal"), "the log of a database that is gone").unwrap();
    let refused = open(dir.path());
    assert!(matches!(refused, Err(OpenError::Corrupt { .. })), "{refused:?}");
    assert!(!dir.path().join("events.db").exists());
}

#[tokio::test]
async fn what_a_crashed_creation_left_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["events.db.new", "events.db.new-wal", "events.db.new-journal"] {
        fs::write(dir.path().join(name), "half a database").unwrap();
    }
    let store = open(dir.path()).unwrap();
    append(&store, small(1)).await;
    store.close().await;
    let names: Vec<_> = content(dir.path()).into_keys().collect();
    assert_eq!(names, [dir.path().join("events.db")]);
}

#[tokio::test]
async fn tables_that_are_missing_are_corrupt() {
    for check in [OpenCheck::Pages, OpenCheck::Header] {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path()).await;
        let file = Connection::open(dir.path().join("events.db")).unwrap();
        file.execute_batch("DROP TABLE events").unwrap();
        file.close().unwrap();
        let options = SqliteOptions::default().with_check(check);
        let refused = SqliteEventStore::open(dir.path().join("events.db"), options);
        assert!(matches!(refused, Err(OpenError::Corrupt { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_gap_in_the_order_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let file = Connection::open(dir.path().join("events.db")).unwrap();
    file.execute_batch("DELETE FROM events WHERE position = 5").unwrap();
    file.close().unwrap();
    let refused = open(dir.path());
    assert!(matches!(refused, Err(OpenError::Corrupt { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_data_directory_keeps_both_stores() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let data = DataDir::open(&path).unwrap();
    append(&**data.events(), small(1)).await;
    let digest = data.artifacts().put("weights".into()).await.unwrap();
    let second = DataDir::open(&path);
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    let inner = open(&path);
    assert!(matches!(inner, Err(OpenError::InUse { .. })), "{inner:?}");
    data.close().await;
    let data = DataDir::open(&path).unwrap();
    assert_eq!(everything(&**data.events()).await.len(), 3);
    assert_eq!(data.artifacts().list().await.unwrap(), [digest]);
    let artifacts = Arc::clone(data.artifacts());
    data.close().await;
    let held = DataDir::open(&path);
    assert!(matches!(held, Err(OpenError::InUse { .. })), "{held:?}");
    drop(artifacts);
    DataDir::open(&path).unwrap();
}

#[test]
fn a_directory_with_something_else_in_it_is_foreign_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "chapter one").unwrap();
    let refused = DataDir::open(dir.path());
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["thesis.tex"]);
}

#[test]
fn a_file_in_place_of_the_directory_is_foreign() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    fs::write(&path, "a file").unwrap();
    let refused = DataDir::open(&path);
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_directory_left_unfinished_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    DataDir::open(dir.path()).unwrap().close().await;
    fs::remove_file(dir.path().join("daa-data")).unwrap();
    fs::write(dir.path().join("daa-data.new"), "daa da").unwrap();
    DataDir::open(dir.path()).unwrap().close().await;
    assert!(dir.path().join("daa-data").exists());
    assert!(!dir.path().join("daa-data.new").exists());
}

#[tokio::test]
async fn a_marker_that_says_something_else_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    DataDir::open(dir.path()).unwrap().close().await;
    let marker = dir.path().join("daa-data");
    for (text, too_new) in [
        ("daa data directory\nformat 2\n", true),
        ("daa data directory\nformat 0\n", false),
        ("daa data directory\n", false),
        ("something\nformat 1\n", false),
        ("", false),
    ] {
        fs::write(&marker, text).unwrap();
        match DataDir::open(dir.path()) {
            Err(OpenError::SchemaTooNew { found: 2, supported: 1, .. }) if too_new => {}
            Err(OpenError::Corrupt { .. }) if !too_new => {}
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_data_directory_that_lost_its_events_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    DataDir::open(dir.path()).unwrap().close().await;
    fs::remove_file(dir.path().join("events.db")).unwrap();
    let refused = DataDir::open(dir.path());
    assert!(matches!(refused, Err(OpenError::Corrupt { .. })), "{refused:?}");
    assert!(!dir.path().join("events.db").exists());
}
