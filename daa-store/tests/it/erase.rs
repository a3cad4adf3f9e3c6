//! Erasing on a real file.

use std::fs;
use std::path::Path;

use daa_core::event::{AppendError, EventStore, PageSize, Position, RecordedEvent, Version};
use daa_store::sqlite::{Sharing, SqliteEventStore, SqliteOptions};
use rusqlite::Connection;

use crate::support::{append, of_size};

fn open(dir: &Path, options: SqliteOptions) -> SqliteEventStore {
    SqliteEventStore::open(dir.join("events.db"), options).unwrap()
}

async fn erase(store: &SqliteEventStore, name: &str, up_to: u64) -> Result<u64, AppendError> {
    store.erase(&name.try_into().unwrap(), Version::new(up_to)).await
}

async fn erase_all(store: &SqliteEventStore) {
    for name in (0..7).map(|at| format!("own/{at}")).chain(["shared".to_owned()]) {
        erase(store, &name, u64::MAX).await.unwrap();
    }
}

async fn read(store: &SqliteEventStore) -> Vec<RecordedEvent> {
    store.read_all(Position::START, PageSize::new(PageSize::MAX)).await.unwrap()
}

#[tokio::test]
async fn erased_events_stay_erased_and_checked_when_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), SqliteOptions::default());
    for tag in 0..30 {
        append(&store, of_size(tag, if tag % 4 == 0 { 9_000 } else { 100 })).await;
    }
    let before = read(&store).await;
    assert_eq!(erase(&store, "shared", 20).await.unwrap(), 20);
    let erased = read(&store).await;
    for (event, before) in erased.iter().zip(&before) {
        let gone = event.stream.as_str() == "shared" && event.version.get() <= 20;
        assert_eq!(*event, if gone { before.clone().into_erased() } else { before.clone() });
    }
    store.close().await;
    // Opening checks every page, and that the order and its index are complete.
    let store = open(dir.path(), SqliteOptions::default());
    assert_eq!(read(&store).await, erased);
    assert_eq!(erase(&store, "shared", 20).await.unwrap(), 0);
    assert_eq!(erase(&store, "shared", 21).await.unwrap(), 1);
}

#[tokio::test]
async fn the_room_of_erased_events_is_used_again() {
    // Small events in whole pages, and large ones in pages of their own.
    for bytes in [200, 20_000] {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions::default().with_max_bytes(1 << 20);
        let store = open(dir.path(), options.clone());
        let mut tag = 0;
        let mut until_full = async || loop {
            match store.append(of_size(tag, bytes)).await {
                Ok(_) => tag += 1,
                Err(AppendError::Full { .. }) => return tag,
                Err(error) => panic!("{error:?}"),
            }
        };
        let first = until_full().await;
        assert_eq!(until_full().await, first);
        // In a full file too.
        erase_all(&store).await;
        let again = until_full().await - first;
        assert!(again * 10 > first * 7, "{again} batches of {bytes} bytes fit in the room of {first}");
        let events = read(&store).await;
        assert!(events.iter().zip(1..).all(|(event, position)| event.position.get() == position));
        store.close().await;
        assert_eq!(read(&open(dir.path(), options)).await, events);
        assert!(fs::metadata(dir.path().join("events.db")).unwrap().len() <= 1 << 20);
    }
}

#[tokio::test]
async fn a_damaged_event_is_reported_and_not_covered_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), SqliteOptions::default());
    for tag in 0..10 {
        append(&store, of_size(tag, 100)).await;
    }
    store.close().await;
    let file = Connection::open(dir.path().join("events.db")).unwrap();
    // The time of the fifth event of the stream.
    assert_eq!(file.execute("UPDATE events SET at = at + 1 WHERE position = 15", []).unwrap(), 1);
    file.close().unwrap();
    let store = open(dir.path(), SqliteOptions::default());
    let refused = erase(&store, "shared", 10).await;
    assert!(matches!(refused, Err(AppendError::Corrupt { .. })), "{refused:?}");
    // What comes before it can go, and the store takes more.
    assert_eq!(erase(&store, "shared", 4).await.unwrap(), 4);
    append(&store, of_size(10, 100)).await;
}

#[tokio::test]
async fn what_one_store_erases_another_does_not_see_and_not_erase_again() {
    let dir = tempfile::tempdir().unwrap();
    let shared = SqliteOptions::default().with_sharing(Sharing::Processes);
    let (a, b) = (open(dir.path(), shared.clone()), open(dir.path(), shared));
    for tag in 0..10 {
        append(if tag % 2 == 0 { &a } else { &b }, of_size(tag, 100)).await;
    }
    for up_to in 1..=10 {
        let (first, second) = if up_to % 2 == 0 { (&a, &b) } else { (&b, &a) };
        assert_eq!(erase(first, "shared", up_to).await.unwrap(), 1);
        assert_eq!(erase(second, "shared", up_to).await.unwrap(), 0);
        let erased = read(second).await.iter().filter(|event| event.is_erased()).count();
        assert_eq!(erased as u64, up_to);
    }
}
