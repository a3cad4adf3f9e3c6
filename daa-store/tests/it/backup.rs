//! The commands of `docs/guide/backup-and-restore.md`, as they stand there.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::event::{
    Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, RecordedEvent, Version,
};
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
use rusqlite::Connection;
use tokio::task::JoinHandle;

const PAGE: &str = include_str!("../../../docs/guide/backup-and-restore.md");
pub(crate) const WRITERS: u64 = 8;

/// The commands of a section, in order.
pub(crate) fn commands(section: &str) -> Vec<String> {
    let section = PAGE.split("\n## ").find(|text| text.lines().next() == Some(section)).unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0.to_owned()).collect()
}

/// Runs a command with these variables.
pub(crate) fn run(mut shell: Command, command: &str, variables: &[(&str, &str)]) {
    let done = shell.args(["-eu", "-c", command]).envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command}{said}");
}

/// Eight writers that write until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<u64>>,
}

impl Load {
    pub(crate) fn begin<S: EventStore + 'static>(store: &Arc<S>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let write = async |store: Arc<S>, stop: Arc<AtomicBool>, writer: u64| {
            let mut written = 0;
            while !stop.load(Ordering::Acquire) {
                let kind = "number.v1".try_into().unwrap();
                let event = NewEvent::json(kind, Timestamp::EPOCH, &written).unwrap();
                let stream = format!("writer/{writer}").try_into().unwrap();
                let expected = ExpectedVersion::Exact(Version::new(written));
                store.append(Batch::new().with_event(stream, expected, event)).await.unwrap();
                written += 1;
            }
            written
        };
        let writers = (0..WRITERS).map(|writer| {
            let (store, stop) = (store.clone(), stop.clone());
            tokio::spawn(async move { write(store, stop, writer).await })
        });
        Self { writers: writers.collect(), stop }
    }

    /// Waits until so many more events are in the store.
    pub(crate) async fn goes_on(&self, store: &dyn EventStore, events: u64) -> Position {
        let began = std::time::Instant::now();
        let from = store.head().await.unwrap().get();
        loop {
            let head = store.head().await.unwrap();
            if head.get() >= from + events {
                return head;
            }
            assert!(began.elapsed().as_secs() < 60, "the load stands still at {head}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn end(self) {
        self.stop.store(true, Ordering::Release);
        for writer in self.writers {
            assert!(writer.await.unwrap() > 0);
        }
    }
}

pub(crate) async fn everything(store: &dyn EventStore) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = Position::new(events.len() as u64);
        let page = store.read_all(after, PageSize::default()).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
        assert_eq!(events.last().unwrap().position.get(), events.len() as u64, "a gap");
    }
}

/// A restored store has the events of the original up to a position in this range, and takes appends behind them.
pub(crate) async fn check(
    restored: &dyn EventStore,
    original: &[RecordedEvent],
    least: Position,
    most: Position,
) {
    let events = everything(restored).await;
    assert_eq!(events[..], original[..events.len()], "not a prefix");
    let head = restored.head().await.unwrap();
    assert_eq!(head.get(), events.len() as u64);
    assert!(least <= head && head <= most, "restored up to {head}, which should be {least} to {most}");
    let stream = "writer/0".try_into().unwrap();
    let before = events.iter().filter(|event| event.stream == stream).count() as u64;
    let event = NewEvent::new("number.v1".try_into().unwrap(), Timestamp::EPOCH, "new".into());
    let expected = ExpectedVersion::Exact(Version::new(before));
    let appended = restored.append(Batch::new().with_event(stream, expected, event)).await.unwrap();
    assert_eq!(appended.first, head.next());
}

/// What a command has the program `sqlite3` do, which need not be on this machine: its last argument.
fn sql_of(command: &str) -> String {
    let mut parts = command.split('"');
    parts.rfind(|part| part.starts_with("VACUUM") || part.starts_with("PRAGMA")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_sqlite_store_beside_eight_writers_is_a_prefix_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (path, backup, restored) = (at("events.db"), at("backup.db"), at("restored.db"));
    let copy_at = backup.clone();
    let [copy, is_whole, restore] = <[String; 3]>::try_from(commands("SQLite")).unwrap();
    let store = Arc::new(SqliteEventStore::open(&path, SqliteOptions::default()).unwrap());
    let load = Load::begin(&store);
    let least = load.goes_on(&*store, 500).await;
    let copied = tokio::task::spawn_blocking(move || {
        let conn = Connection::open(&path).unwrap();
        conn.busy_timeout(Duration::from_secs(10)).unwrap();
        conn.execute(&sql_of(&copy).replace("$BACKUP", &backup), ()).unwrap();
        let conn = Connection::open(&backup).unwrap();
        let whole: String = conn.query_row(&sql_of(&is_whole), (), |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
    });
    copied.await.unwrap();
    let most = store.head().await.unwrap();
    load.goes_on(&*store, 100).await;
    load.end().await;
    let original = everything(&*store).await;
    store.close().await;

    // In the place of another one, with what belonged to it.
    std::fs::write(&restored, "what was there").unwrap();
    std::fs::write(format!("{restored}-wal"), "and its log").unwrap();
    run(Command::new("sh"), &restore, &[("EVENTS", &restored), ("BACKUP", &copy_at)]);
    let restored = SqliteEventStore::open(&restored, SqliteOptions::default()).unwrap();
    check(&restored, &original, least, most).await;
    restored.close().await;
}
