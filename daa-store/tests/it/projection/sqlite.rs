//! [`SqliteReadModel`] keeps the contract, and what only it can show.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use daa_core::clock::Timestamp;
use daa_core::event::{Position, RecordedEvent, Version};
use daa_core::projection::testing::Tally;
use daa_core::projection::{ModelError, ModelVersion, Projection, ReadModel, Refusal, Step};
use daa_store::sqlite::rusqlite::{self, Transaction};
use daa_store::sqlite::{SqliteProjection, SqliteReadModel};
use tempfile::TempDir;

use super::Tallies;

pub(super) fn open(dir: &Path, version: ModelVersion) -> SqliteReadModel<Tallies> {
    SqliteReadModel::open(dir.join("tallies.db"), Tallies::new(version)).unwrap()
}

fn all(live: &Transaction<'_>) -> rusqlite::Result<BTreeMap<String, i64>> {
    let mut select = live.prepare("SELECT stream, tally FROM tallies")?;
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

pub(super) async fn rows(model: &SqliteReadModel<Tallies>) -> Option<BTreeMap<String, i64>> {
    model.read(all).await.unwrap()
}

/// Keeps its reader, as a process does.
#[derive(Debug)]
struct OnDisk {
    dir: TempDir,
    reader: SqliteReadModel<Tallies>,
}

#[async_trait]
impl Tally for OnDisk {
    async fn open(&self, version: ModelVersion) -> Arc<dyn ReadModel> {
        Arc::new(open(self.dir.path(), version))
    }

    async fn rows(&self) -> Option<BTreeMap<String, i64>> {
        rows(&self.reader).await
    }
}

fn fresh() -> ((), Arc<dyn Tally>) {
    let dir = tempfile::tempdir().unwrap();
    let reader = open(dir.path(), ModelVersion::new(1));
    ((), Arc::new(OnDisk { dir, reader }))
}

daa_core::read_model_conformance!(fresh());

const V1: ModelVersion = ModelVersion::new(1);
const V2: ModelVersion = ModelVersion::new(2);

fn event(position: u64) -> RecordedEvent {
    let (stream, kind) = ("a".parse().unwrap(), "tally.done.v1".parse().unwrap());
    let at = Timestamp::EPOCH;
    RecordedEvent::new(Position::new(position), stream, Version::new(position), kind, at, "x".into())
}

async fn live(dir: &Path, version: ModelVersion) -> SqliteReadModel<Tallies> {
    let model = open(dir, version);
    model.begin().await.unwrap();
    model.apply(Step::new(Position::START, Position::new(1), vec![event(1)])).await.unwrap();
    model.swap().await.unwrap();
    model
}

#[tokio::test]
async fn the_files_of_versions_that_are_no_more_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
        names.sort();
        names
    };
    let _old = live(dir.path(), V1).await;
    assert_eq!(names(), ["tallies.db", "tallies.db.v1"]);
    let new = live(dir.path(), V2).await;
    assert_eq!(names(), ["tallies.db", "tallies.db.v2"]);
    assert_eq!(rows(&new).await.unwrap()["a"], 1_000);
}

#[tokio::test]
async fn a_build_that_died_before_it_was_registered_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let half = rusqlite::Connection::open(dir.path().join("tallies.db.v1")).unwrap();
    half.execute_batch("CREATE TABLE tallies (half INTEGER)").unwrap();
    drop(half);
    let model = live(dir.path(), V1).await;
    assert_eq!(rows(&model).await.unwrap()["a"], 1);
}

#[tokio::test]
async fn models_whose_files_differ_in_their_ending_have_nothing_in_common() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["tallies.db", "tallies.model"] {
        let model = SqliteReadModel::open(dir.path().join(name), Tallies::new(V1)).unwrap();
        model.begin().await.unwrap();
        model.apply(Step::new(Position::START, Position::new(1), vec![event(1)])).await.unwrap();
        model.swap().await.unwrap();
    }
    let one = open(dir.path(), V1);
    one.apply(Step::new(Position::new(1), Position::new(2), vec![event(2)])).await.unwrap();
    assert_eq!(rows(&one).await.unwrap()["a"], 2);
    let other = SqliteReadModel::open(dir.path().join("tallies.model"), Tallies::new(V1)).unwrap();
    assert_eq!(rows(&other).await.unwrap()["a"], 1);
}

#[test]
fn a_file_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tallies.db");
    let theirs = rusqlite::Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE theirs (x)").unwrap();
    let error = SqliteReadModel::open(&path, Tallies::new(V1)).unwrap_err();
    assert!(matches!(&error, ModelError::Corrupt { detail } if detail.contains("theirs")), "{error:?}");
    let tables = "SELECT count(*) FROM sqlite_schema";
    assert_eq!(theirs.query_row(tables, [], |row| row.get::<_, u32>(0)).unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_live_version_does_not_go_on_before_others_see_the_swap() {
    let dir = tempfile::tempdir().unwrap();
    let old = live(dir.path(), V1).await;
    let new = open(dir.path(), V2);
    new.begin().await.unwrap();
    new.apply(Step::new(Position::START, Position::new(1), vec![event(1)])).await.unwrap();
    // The commit of the swap waits for one who reads which version is live.
    let connect = |name: &str| rusqlite::Connection::open(dir.path().join(name)).unwrap();
    let reader = connect("tallies.db");
    reader.execute_batch("BEGIN; SELECT * FROM daa_versions").unwrap();
    let swapping = tokio::spawn(async move { new.swap().await });
    let (look, version_1) = (connect("tallies.db"), connect("tallies.db.v1"));
    for connection in [&look, &version_1] {
        connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    }
    // A commit that waits lets nobody else begin to read.
    while look.execute_batch("SELECT * FROM daa_versions").is_ok() {
        assert!(!swapping.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
    let error = version_1.execute_batch("BEGIN IMMEDIATE").unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy), "{error}");
    reader.execute_batch("COMMIT").unwrap();
    swapping.await.unwrap().unwrap();
    let error = old.apply(Step::new(Position::new(1), Position::new(2), vec![event(2)])).await.unwrap_err();
    assert!(matches!(error, ModelError::Superseded { .. }), "{error:?}");
}

#[tokio::test]
async fn a_reader_sees_one_moment_while_versions_are_swapped() {
    let dir = tempfile::tempdir().unwrap();
    let old = live(dir.path(), V1).await;
    let (begun, wait) = std::sync::mpsc::channel::<()>();
    let (inside, is_inside) = tokio::sync::oneshot::channel();
    let reading = tokio::spawn(async move {
        old.read(move |live| {
            let before = all(live)?;
            inside.send(()).unwrap();
            wait.recv().unwrap();
            Ok((before, all(live)?))
        })
        .await
        .unwrap()
        .unwrap()
    });
    is_inside.await.unwrap();
    let new = live(dir.path(), V2).await;
    begun.send(()).unwrap();
    let (before, after) = reading.await.unwrap();
    assert_eq!((before["a"], after["a"]), (1, 1));
    assert_eq!(rows(&new).await.unwrap()["a"], 1_000);
}

#[tokio::test]
async fn tells_what_the_projection_is_made_of_from_what_an_event_brings() {
    #[derive(Debug)]
    struct Broken(Tallies);
    impl Projection for Broken {
        fn name(&self) -> &daa_core::id::ProjectionName {
            self.0.name()
        }
        fn version(&self) -> ModelVersion {
            self.0.version()
        }
    }
    impl SqliteProjection for Broken {
        fn create(&self, transaction: &Transaction<'_>) -> Result<(), Refusal> {
            if self.0.version == V2 {
                transaction.execute_batch("CREATE TABLE")?;
            }
            Ok(transaction.execute_batch("CREATE TABLE once (at INTEGER PRIMARY KEY)")?)
        }
        fn apply(&self, transaction: &Transaction<'_>, event: &RecordedEvent) -> Result<(), Refusal> {
            transaction.execute("INSERT INTO once VALUES (?1)", [event.payload.len()])?;
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broken.db");
    let model = SqliteReadModel::open(&path, Broken(Tallies::new(V1))).unwrap();
    model.begin().await.unwrap();
    let twice = Step::new(Position::START, Position::new(2), vec![event(1), event(2)]);
    let error = model.apply(twice).await.unwrap_err();
    assert!(matches!(&error, ModelError::Poison { position, .. } if position.get() == 2), "{error:?}");
    let next = SqliteReadModel::open(&path, Broken(Tallies::new(V2))).unwrap();
    let error = next.begin().await.unwrap_err();
    assert!(matches!(error, ModelError::Definition { .. }), "{error:?}");
    model.apply(Step::new(Position::START, Position::new(1), vec![event(1)])).await.unwrap();
    model.swap().await.unwrap();
    let error = model.read(|live| live.execute("SELECT * FROM nowhere", [])).await.unwrap_err();
    assert!(matches!(error, ModelError::Definition { .. }), "{error:?}");
}
