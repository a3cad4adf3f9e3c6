//! Files that were torn, cut or changed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use daa_core::event::{EventStore, PageSize, Position, ReadError, RecordedEvent, Version};
use daa_core::seed::Seed;
use daa_store::open::OpenError;
use daa_store::sqlite::{OpenCheck, SqliteEventStore, SqliteOptions};
use rand::RngExt as _;
use tempfile::TempDir;

use crate::support::{append, check_whole, everything, of_size};

fn open(path: &Path, check: OpenCheck) -> Result<SqliteEventStore, OpenError> {
    SqliteEventStore::open(path, SqliteOptions::default().with_check(check))
}

/// Batches that fill a number of pages, some of them with pages of their own.
async fn fill(store: &SqliteEventStore) {
    for at in 0..60 {
        append(store, of_size(at, if at % 9 == 0 { 6_000 } else { 300 })).await;
    }
}

/// A store as a crash leaves it: the database, the log with everything, and the events.
async fn crashed() -> (TempDir, PathBuf, Vec<RecordedEvent>) {
    let live = tempfile::tempdir().unwrap();
    let store = open(&live.path().join("events.db"), OpenCheck::Pages).unwrap();
    fill(&store).await;
    let events = everything(&store).await;
    let dir = tempfile::tempdir().unwrap();
    for name in ["events.db", "events.db-wal"] {
        fs::copy(live.path().join(name), dir.path().join(name)).unwrap();
    }
    let path = dir.path().join("events.db");
    (dir, path, events)
}

/// A store that was closed: everything is in the database.
async fn closed() -> (TempDir, PathBuf, Vec<RecordedEvent>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.db");
    let store = open(&path, OpenCheck::Pages).unwrap();
    fill(&store).await;
    let events = everything(&store).await;
    store.close().await;
    assert!(!dir.path().join("events.db-wal").exists());
    (dir, path, events)
}

/// Opens a copy of the files in `from`, changed by `damage`.
async fn with_damage<T>(
    from: &TempDir,
    check: OpenCheck,
    damage: impl FnOnce(&Path),
    then: impl AsyncFnOnce(Result<SqliteEventStore, OpenError>) -> T,
) -> T {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    damage(dir.path());
    then(open(&dir.path().join("events.db"), check)).await
}

fn truncate(path: &Path, len: u64) {
    File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn flip(path: &Path, at: usize, mask: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= mask;
    fs::write(path, bytes).unwrap();
}

/// Opens, and holds a prefix of whole batches: how many events.
async fn prefix(opened: Result<SqliteEventStore, OpenError>, all: &[RecordedEvent]) -> usize {
    let store = opened.unwrap();
    let left = everything(&store).await;
    assert_eq!(left, all[..left.len()]);
    // And it takes more.
    append(&store, of_size(1_000, 10)).await;
    assert_eq!(everything(&store).await.len(), left.len() + 3);
    left.len()
}

#[tokio::test]
async fn a_log_cut_anywhere_leaves_a_prefix_of_whole_batches() {
    let (dir, path, all) = crashed().await;
    let full = fs::metadata(path.with_extension("db-wal")).unwrap().len();
    let mut rng = Seed::from_u64(3).child("cut").rng();
    let mut cuts: Vec<u64> = (0..40).map(|_| rng.random_range(0..full)).collect();
    cuts.push(full);
    cuts.sort_unstable();
    let mut lengths = Vec::new();
    for cut in cuts {
        let damage = |dir: &Path| truncate(&dir.join("events.db-wal"), cut);
        lengths.push(
            with_damage(&dir, OpenCheck::Pages, damage, async |opened| prefix(opened, &all).await).await,
        );
    }
    assert!(lengths.is_sorted(), "more of the log, more of the events: {lengths:?}");
    assert_eq!(lengths.last(), Some(&all.len()));
    assert!(lengths.windows(2).filter(|pair| pair[0] != pair[1]).count() > 10, "{lengths:?}");
}

#[tokio::test]
async fn a_byte_changed_in_the_log_leaves_a_prefix_of_whole_batches() {
    let (dir, path, all) = crashed().await;
    let full = fs::metadata(path.with_extension("db-wal")).unwrap().len() as usize;
    let mut rng = Seed::from_u64(3).child("flip log").rng();
    for _ in 0..40 {
        let (at, mask) = (rng.random_range(0..full), rng.random_range(1..=u8::MAX));
        let damage = |dir: &Path| flip(&dir.join("events.db-wal"), at, mask);
        with_damage(&dir, OpenCheck::Pages, damage, async |opened| prefix(opened, &all).await).await;
    }
}

#[tokio::test]
async fn a_database_cut_anywhere_is_corrupt() {
    let (dir, path, _) = closed().await;
    let full = fs::metadata(&path).unwrap().len();
    let mut rng = Seed::from_u64(3).child("cut database").rng();
    let mut cuts: Vec<u64> = (0..40).map(|_| rng.random_range(0..full)).collect();
    cuts.extend([0, 1, 15, 16, 99, 100, 4_096, full - 4_096, full - 1]);
    for cut in cuts {
        for check in [OpenCheck::Pages, OpenCheck::Header] {
            let damage = |dir: &Path| truncate(&dir.join("events.db"), cut);
            with_damage(&dir, check, damage, async |opened| {
                assert!(matches!(opened, Err(OpenError::Corrupt { .. })), "cut at {cut} of {full}");
            })
            .await;
        }
    }
}

/// Every event that can be read, by position and by stream; `Err` when a read reports damage.
async fn read_both_ways(store: &SqliteEventStore, all: &[RecordedEvent]) -> Result<(), ReadError> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Position::START, |event| event.position);
        let more = store.read_all(after, PageSize::new(7)).await?;
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    assert_eq!(events, all, "changed data was served as if it were whole");
    let shared =
        store.read_stream(&"shared".try_into().unwrap(), Version::EMPTY, PageSize::default()).await?;
    assert_eq!(shared.len(), all.len() / 3, "an index lost events");
    Ok(())
}

#[tokio::test]
async fn a_byte_changed_in_the_database_is_reported_or_harmless() {
    let (dir, path, all) = closed().await;
    check_whole(&all);
    let full = fs::metadata(&path).unwrap().len() as usize;
    let mut rng = Seed::from_u64(3).child("flip database").rng();
    let mut reported = 0;
    for round in 0..120 {
        // Every third in the first pages: the header, the schema, the names.
        let range = if round % 3 == 0 { 0..full.min(6 * 4_096) } else { 0..full };
        let (at, mask) = (rng.random_range(range), rng.random_range(1..=u8::MAX));
        let damage = |dir: &Path| flip(&dir.join("events.db"), at, mask);
        let harmless = with_damage(&dir, OpenCheck::Pages, damage, async |opened| match opened {
            Ok(store) => match read_both_ways(&store, &all).await {
                Ok(()) => true,
                Err(ReadError::Corrupt { .. }) => false,
                Err(error) => panic!("byte {at} ^ {mask}: {error:?}"),
            },
            Err(OpenError::Corrupt { .. } | OpenError::Foreign { .. } | OpenError::SchemaTooNew { .. }) => {
                false
            }
            Err(error) => panic!("byte {at} ^ {mask}: {error:?}"),
        })
        .await;
        reported += usize::from(!harmless);
    }
    assert!(reported > 60, "only {reported} of 120 changes were noticed");
}

#[tokio::test]
async fn a_byte_changed_in_a_payload_is_found_by_the_read_that_meets_it() {
    let (dir, path, all) = closed().await;
    let bytes = fs::read(&path).unwrap();
    let needle = b"000030 xxxxxxxxxx";
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap() + 12;
    for check in [OpenCheck::Pages, OpenCheck::Header] {
        let damage = |dir: &Path| flip(&dir.join("events.db"), at, 1);
        with_damage(&dir, check, damage, async |opened| {
            let store = opened.unwrap();
            let hit = all.iter().find(|event| event.payload.starts_with(b"000030")).unwrap().position.get();
            let page = PageSize::new(30);
            // The copy that was changed is one of the batch's three.
            assert_eq!(store.read_all(Position::START, page).await.unwrap(), all[..30]);
            let found = store.read_all(Position::new(hit - 1), page).await;
            let Err(ReadError::Corrupt { detail }) = found else { panic!("{found:?}") };
            assert!(detail.contains("position"), "{detail}");
            let behind = store.read_all(Position::new(hit + 3), page).await.unwrap();
            assert_eq!(behind, all[hit as usize + 3..hit as usize + 33]);
        })
        .await;
    }
}
