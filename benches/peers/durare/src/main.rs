//! The side of durare: does what it is told on the standard input, and answers how many seconds it took.
//!
//! `durare-peer FILE`, or `durare-peer URL SCHEMA` for PostgreSQL, opens the database and says how. Then `steps N` performs one workflow of N steps, and `runs R N`
//! performs R of them at a time.

use std::io::BufRead as _;
use std::sync::Arc;
use std::time::Instant;

use durare::{
    DurableContext, DurableEngine, Error, PostgresProvider, SqliteProvider, WorkflowHandle, WorkflowOptions,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let place = std::env::args().nth(1).expect("the file or the URL of the database");
    let (mut engine, settings) = match std::env::args().nth(2) {
        Some(schema) => runtime.block_on(connect(&place, &schema)),
        None => runtime.block_on(open(&place)),
    };
    engine.register("steps", |ctx: DurableContext, steps: u32| async move {
        for _ in 0..steps {
            ctx.step("step", || async { Ok::<_, Error>("done".to_owned()) }).await?;
        }
        Ok::<_, Error>(())
    });
    let engine = Arc::new(engine);
    println!("{settings}");
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.expect("a line");
        let mut words = line.split_whitespace();
        let command = words.next();
        let mut count = || words.next().and_then(|word| word.parse().ok()).expect("a number");
        let (runs, steps) = match command {
            Some("steps") => (1, count()),
            Some("runs") => (count(), count()),
            other => panic!("unknown command {other:?}"),
        };
        let steps = u32::try_from(steps).expect("a number");
        println!("{}", runtime.block_on(perform(engine.clone(), number, runs, steps)));
    }
}

/// As `SqliteProvider::connect` does it, but for `synchronous`, which is NORMAL there.
async fn open(file: &str) -> (DurableEngine, String) {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(std::time::Duration::from_secs(5));
    let pool = SqlitePoolOptions::new().max_connections(5).connect_with(options).await.expect("a database");
    let provider = Arc::new(SqliteProvider::from_pool(pool.clone()));
    (DurableEngine::new(provider).await.expect("an engine"), settings(&pool).await)
}

/// As it comes, in a schema of its own.
async fn connect(url: &str, schema: &str) -> (DurableEngine, String) {
    let provider = PostgresProvider::connect_with_schema(url, schema).await.expect("a database");
    let commit: String =
        sqlx::query_scalar("SHOW synchronous_commit").fetch_one(provider.pool()).await.expect("a setting");
    let engine = DurableEngine::new(Arc::new(provider)).await.expect("an engine");
    (engine, format!("synchronous_commit={commit}"))
}

async fn settings(pool: &SqlitePool) -> String {
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.expect("a setting");
    let sync: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await.expect("a setting");
    format!("journal_mode={mode} synchronous={sync}")
}

/// Seconds from the first start to the last result.
async fn perform(engine: Arc<DurableEngine>, turn: usize, runs: usize, steps: u32) -> f64 {
    let began = Instant::now();
    let started = (0..runs).map(|run| {
        let engine = engine.clone();
        tokio::spawn(async move {
            let options = WorkflowOptions::with_id(format!("turn-{turn}-{run}"));
            let handle: WorkflowHandle<()> = engine.start("steps", steps, options).await.expect("a start");
            handle.result().await.expect("a result");
        })
    });
    let started: Vec<_> = started.collect();
    for run in started {
        run.await.expect("a run");
    }
    began.elapsed().as_secs_f64()
}
