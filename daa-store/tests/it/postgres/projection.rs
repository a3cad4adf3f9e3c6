//! [`PostgresReadModel`] keeps the contract; its server and its processes are killed; views are refreshed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daa_core::clock::{ManualClock, SystemClock, Timestamp};
use daa_core::event::{MemoryEventStore, OnPoison, Position, RecordedEvent};
use daa_core::projection::testing::{Tally, amount, refusal};
use daa_core::projection::{
    ModelError, ModelVersion, Place, Projection as _, Projector, ProjectorOptions, ReadModel, Refusal, Step,
};
use daa_core::shutdown::ShutdownTrigger;
use daa_store::postgres::tokio_postgres::{Client, Transaction};
use daa_store::postgres::{MaterializedView, PostgresOptions, PostgresProjection, PostgresReadModel};

use super::server::Server;
use super::support::{Schema, connect, url};
use crate::projection::Tallies;
use crate::projection::killed::{happen, kill_at_random, rows_at};

const V1: ModelVersion = ModelVersion::new(1);
const V2: ModelVersion = ModelVersion::new(2);
const EVERY: Duration = Duration::from_secs(30);

#[async_trait]
impl PostgresProjection for Tallies {
    async fn create(&self, transaction: &Transaction<'_>) -> Result<(), Refusal> {
        let sql = "
            CREATE TABLE tallies (stream text PRIMARY KEY, tally bigint NOT NULL);
            CREATE MATERIALIZED VIEW total AS SELECT 1 AS one, coalesce(sum(tally), 0)::bigint AS total FROM tallies;
            CREATE UNIQUE INDEX total_one ON total (one)";
        Ok(transaction.batch_execute(sql).await?)
    }

    async fn apply(&self, transaction: &Transaction<'_>, event: &RecordedEvent) -> Result<(), Refusal> {
        let sql = "INSERT INTO tallies VALUES ($1, $2)
            ON CONFLICT (stream) DO UPDATE SET tally = tallies.tally + excluded.tally";
        transaction.execute(sql, &[&event.stream.as_str(), &amount(self.version())]).await?;
        refusal(event)
    }

    fn materialized_views(&self) -> Vec<MaterializedView> {
        vec![MaterializedView::new("total", EVERY)]
    }
}

fn model_at(url: &str, schema: &str, version: ModelVersion) -> Arc<dyn ReadModel> {
    let options = PostgresOptions::new(url).unwrap().with_schema(schema).unwrap();
    let options = options.with_acquire_timeout(Duration::from_secs(2));
    Arc::new(PostgresReadModel::new(&options, Tallies::new(version)).unwrap())
}

/// A model on the server of the tests.
pub(crate) fn model(schema: &str, version: ModelVersion) -> Arc<dyn ReadModel> {
    model_at(&url(), schema, version)
}

/// As somebody reads them who knows nothing of projections; `None` while there is no such table.
async fn rows(client: &Client, schema: &str) -> Option<BTreeMap<String, i64>> {
    let rows = client.query(&format!("SELECT stream, tally FROM {schema}.tallies"), &[]).await.ok()?;
    Some(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn total(client: &Client, schema: &str) -> i64 {
    client.query_one(&format!("SELECT total FROM {schema}.total"), &[]).await.unwrap().get(0)
}

/// Removes also the schemas of versions that are being built.
#[derive(Debug)]
struct Model(Schema);

impl Drop for Model {
    fn drop(&mut self) {
        for suffix in ["_v1", "_v2", "_v3", "_old"] {
            let mut schema = Schema::new();
            schema.name = format!("{}{suffix}", self.0.name);
        }
    }
}

#[derive(Debug)]
struct OnServer {
    name: String,
    client: Client,
}

#[async_trait]
impl Tally for OnServer {
    async fn open(&self, version: ModelVersion) -> Arc<dyn ReadModel> {
        model(&self.name, version)
    }

    async fn rows(&self) -> Option<BTreeMap<String, i64>> {
        rows(&self.client, &self.name).await
    }
}

async fn fresh() -> (Model, Arc<dyn Tally>) {
    let schema = Schema::new();
    let (name, client) = (schema.name.clone(), connect(&schema.url).await.unwrap());
    (Model(schema), Arc::new(OnServer { name, client }))
}

daa_core::read_model_conformance!(fresh().await);

fn step(from: u64, to: u64) -> Step {
    let event = |position| {
        let (stream, kind) = ("a".parse().unwrap(), "tally.done.v1".parse().unwrap());
        let (at, version) = (Position::new(position), daa_core::event::Version::new(position));
        RecordedEvent::new(at, stream, version, kind, Timestamp::EPOCH, "x".into())
    };
    Step::new(Position::new(from), Position::new(to), (from + 1..=to).map(event).collect())
}

#[tokio::test]
async fn views_are_fresh_at_a_swap_and_refreshed_no_more_often_than_asked_for() {
    let schema = Model(Schema::new());
    let (name, client) = (schema.0.name.clone(), connect(&url()).await.unwrap());
    let (model, clock) = (model(&name, V1), ManualClock::default());
    let now = || daa_core::clock::Clock::now(&clock);
    model.begin().await.unwrap();
    model.apply(step(0, 3)).await.unwrap();
    model.swap().await.unwrap();
    assert_eq!(total(&client, &name).await, 3);
    assert_eq!(model.refresh(now()).await.unwrap(), None, "nothing has changed since");
    model.apply(step(3, 4)).await.unwrap();
    assert_eq!(model.refresh(now()).await.unwrap(), None, "it was never refreshed at a time: it is due");
    assert_eq!(total(&client, &name).await, 4);
    model.apply(step(4, 6)).await.unwrap();
    let due = model.refresh(now()).await.unwrap();
    assert_eq!((due, total(&client, &name).await), (Some(now() + EVERY), 4));
    clock.advance(EVERY);
    assert_eq!((model.refresh(now()).await.unwrap(), total(&client, &name).await), (None, 6));
}

#[tokio::test]
async fn who_reads_a_view_does_not_wait_for_its_refresh_nor_a_refresh_for_him() {
    let schema = Model(Schema::new());
    let (name, mut reader) = (schema.0.name.clone(), connect(&url()).await.unwrap());
    let model = model(&name, V1);
    model.begin().await.unwrap();
    model.apply(step(0, 3)).await.unwrap();
    model.swap().await.unwrap();
    let reading = reader.transaction().await.unwrap();
    let select = format!("SELECT total FROM {name}.total");
    assert_eq!(reading.query_one(&select, &[]).await.unwrap().get::<_, i64>(0), 3);
    model.apply(step(3, 5)).await.unwrap();
    // The reader's lock is held on: only a refresh that is not concurrent would wait for it.
    model.refresh(Timestamp::EPOCH).await.unwrap();
    assert_eq!(reading.query_one(&select, &[]).await.unwrap().get::<_, i64>(0), 5);
    reading.rollback().await.unwrap();
}

#[tokio::test]
async fn a_swap_waits_for_nobody_who_reads() {
    let schema = Model(Schema::new());
    let (name, mut reader) = (schema.0.name.clone(), connect(&url()).await.unwrap());
    let (old, new) = (model(&name, V1), model(&name, V2));
    old.begin().await.unwrap();
    old.apply(step(0, 3)).await.unwrap();
    old.swap().await.unwrap();
    let reading = reader.transaction().await.unwrap();
    reading.query(&format!("SELECT * FROM {name}.tallies"), &[]).await.unwrap();
    new.begin().await.unwrap();
    new.apply(step(0, 3)).await.unwrap();
    // The old tables are locked by who reads them; they go when he has gone.
    new.swap().await.unwrap();
    let other = connect(&url()).await.unwrap();
    assert_eq!(rows(&other, &name).await.unwrap()["a"], 3_000);
    reading.rollback().await.unwrap();
    model(&name, V2).swap().await.unwrap();
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE $1 || '%'";
    assert_eq!(other.query_one(left, &[&name]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_schema_of_somebody_else_is_left_alone() {
    let schema = Schema::new();
    let client = connect(&schema.url).await.unwrap();
    client
        .batch_execute(&format!("CREATE SCHEMA {0}; CREATE TABLE {0}.theirs ()", schema.name))
        .await
        .unwrap();
    let model = model(&schema.name, V1);
    for error in [model.begin().await, model.swap().await, model.state().await.map(|_| ())] {
        assert!(matches!(error, Err(ModelError::Corrupt { .. })), "{error:?}");
    }
    client.query(&format!("SELECT * FROM {}.theirs", schema.name), &[]).await.unwrap();
}

#[tokio::test]
async fn a_schema_of_somebody_else_is_not_dropped_because_of_its_name() {
    let schema = Model(Schema::new());
    let (name, client) = (schema.0.name.clone(), connect(&url()).await.unwrap());
    for theirs in ["theirs ()", "daa_projection (position bigint)"] {
        let sql = format!("DROP SCHEMA IF EXISTS {name}_old CASCADE; CREATE SCHEMA {name}_old");
        client.batch_execute(&sql).await.unwrap();
        client.batch_execute(&format!("CREATE TABLE {name}_old.{theirs}")).await.unwrap();
        let model = model(&name, V1);
        model.begin().await.unwrap();
        let error = model.swap().await.unwrap_err();
        assert!(matches!(error, ModelError::Corrupt { .. }), "{error:?}");
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = $1 || '_old'";
        assert_eq!(client.query_one(tables, &[&name]).await.unwrap().get::<_, i64>(0), 1);
    }
}

#[tokio::test]
async fn a_model_that_is_called_as_a_version_of_another_is_not_taken_for_it() {
    let schema = Model(Schema::new());
    let (name, client) = (schema.0.name.clone(), connect(&url()).await.unwrap());
    let other = model(&format!("{name}_v2"), V1);
    other.begin().await.unwrap();
    other.apply(step(0, 3)).await.unwrap();
    other.swap().await.unwrap();
    let one = model(&name, V1);
    assert_eq!(one.state().await.unwrap(), daa_core::projection::ModelState::default());
    one.begin().await.unwrap();
    one.apply(step(0, 1)).await.unwrap();
    one.swap().await.unwrap();
    let error = model(&name, V2).begin().await.unwrap_err();
    assert!(matches!(error, ModelError::Corrupt { .. }), "{error:?}");
    model(&name, ModelVersion::new(3)).begin().await.unwrap();
    assert_eq!(rows(&client, &format!("{name}_v2")).await.unwrap()["a"], 3);
    assert_eq!(rows(&client, &name).await.unwrap()["a"], 1);
    let misled = model(&format!("{name}_v3"), V1);
    assert!(matches!(misled.state().await, Err(ModelError::Corrupt { .. })));
}

#[tokio::test]
async fn who_takes_over_refreshes_what_the_other_left_stale() {
    let schema = Model(Schema::new());
    let (name, client) = (schema.0.name.clone(), connect(&url()).await.unwrap());
    let (active, idle) = (model(&name, V1), model(&name, V1));
    active.begin().await.unwrap();
    active.apply(step(0, 3)).await.unwrap();
    active.swap().await.unwrap();
    idle.refresh(Timestamp::EPOCH).await.unwrap();
    active.apply(step(3, 5)).await.unwrap();
    let error = idle.apply(step(3, 4)).await.unwrap_err();
    assert!(matches!(error, ModelError::Moved { .. }), "{error:?}");
    assert_eq!(total(&client, &name).await, 3);
    idle.refresh(Timestamp::EPOCH + EVERY).await.unwrap();
    assert_eq!(total(&client, &name).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_counts_every_event_once_while_its_server_is_killed() {
    let mut server = Server::start().await;
    let store = Arc::new(MemoryEventStore::new());
    let model = model_at(&server.url(), "tallies", V1);
    let options = ProjectorOptions::default().with_batch(5).with_on_poison(OnPoison::Skip);
    let projector = Projector::new(model, store.clone(), Arc::new(SystemClock::new()), options);
    let mut monitor = projector.monitor();
    let (_trigger, shutdown) = ShutdownTrigger::new();
    let running = tokio::spawn(projector.run(shutdown));
    let mut last = Position::START;
    for _ in 0..3 {
        // Somewhere in the middle.
        let middle = Position::new(last.get() + 60);
        last = happen(&*store, 200).await;
        tokio::time::timeout(Duration::from_secs(120), async {
            while monitor.status().await.unwrap().lag.position < middle {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
        let before = monitor.metrics().retried;
        server.kill();
        // A process of the server that outlives the first one by a moment may still take some.
        tokio::time::timeout(Duration::from_secs(120), async {
            while monitor.metrics().retried == before {
                last = happen(&*store, 10).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
        server.start_again().await;
    }
    tokio::time::timeout(Duration::from_secs(120), monitor.reached(last)).await.unwrap();
    let client = connect(&server.url()).await.unwrap();
    assert_eq!(rows(&client, "tallies").await.unwrap(), rows_at(last, 1));
    // A model that is built anew is the same.
    let other = model_at(&server.url(), "anew", V1);
    let (_trigger, shutdown) = ShutdownTrigger::new();
    let options = ProjectorOptions::default().with_on_poison(OnPoison::Skip);
    let projector = Projector::new(other, store, Arc::new(SystemClock::new()), options);
    let mut anew = projector.monitor();
    let building = tokio::spawn(projector.run(shutdown));
    tokio::time::timeout(Duration::from_secs(120), anew.reached(last)).await.unwrap();
    assert_eq!(rows(&client, "anew").await, rows(&client, "tallies").await);
    running.abort();
    building.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_counts_every_event_once_however_often_its_process_is_killed() {
    let schema = Model(Schema::new());
    let dir = tempfile::tempdir().unwrap();
    let last = kill_at_random(dir.path(), Some(&schema.0.name), 12).await;
    let client = connect(&url()).await.unwrap();
    assert_eq!(rows(&client, &schema.0.name).await.unwrap(), rows_at(last, 2));
    let model = model(&schema.0.name, V2);
    let place = model.state().await.unwrap().place(V2).unwrap();
    assert_eq!(place, Place::Live(last));
}

#[tokio::test]
async fn a_view_that_would_need_quotes_is_refused() {
    #[derive(Debug)]
    struct Quoted(Tallies);
    impl daa_core::projection::Projection for Quoted {
        fn name(&self) -> &daa_core::id::ProjectionName {
            self.0.name()
        }
        fn version(&self) -> ModelVersion {
            self.0.version()
        }
    }
    #[async_trait]
    impl PostgresProjection for Quoted {
        async fn create(&self, _: &Transaction<'_>) -> Result<(), Refusal> {
            Ok(())
        }
        async fn apply(&self, _: &Transaction<'_>, _: &RecordedEvent) -> Result<(), Refusal> {
            Ok(())
        }
        fn materialized_views(&self) -> Vec<MaterializedView> {
            vec![MaterializedView::new("total; DROP TABLE tallies", EVERY)]
        }
    }
    let options = PostgresOptions::new(&url()).unwrap();
    let error = PostgresReadModel::new(&options, Quoted(Tallies::new(V1))).unwrap_err();
    assert!(matches!(error, ModelError::Definition { .. }), "{error:?}");
}
