//! Steps on SQLite with `synchronous=FULL`, and on PostgreSQL as it comes, beside durare with the same. The sides take turns, so that both meet the same
//! disk; each figure is the median of the turns, and the ratio that of the medians.

use std::sync::Arc;
use std::time::Instant;

use daa_core::event::EventStore;
use daa_store::postgres::{PostgresEventStore, PostgresOptions};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

use super::world::{World, open, run_id};
use crate::line::{Better, Line};
use crate::peer::Peer;

const TURNS: usize = 7;
/// Steps of the one long workflow.
const LONG: usize = 200;
const RUNS: usize = 64;
const STEPS: usize = 10;

pub(crate) fn run(runtime: &Runtime) -> Vec<Line> {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let file = dir.path().join("durare.db");
    let peer = durare(&[&file.to_string_lossy()], "journal_mode=wal synchronous=2");
    let mut lines = side_by_side(runtime, open(dir.path()), peer, "");
    lines.extend(on_postgres(runtime));
    lines
}

/// Has it open a database beside ours, by the name of a file, or by a URL and the name of a schema.
fn durare(place: &[&str], expected: &str) -> Option<Peer> {
    let (peer, settings) = Peer::start("durare", place)?;
    assert_eq!(settings, expected, "both sides must write in the same way");
    Some(peer)
}

/// Nothing where no server answers: `DAA_TEST_POSTGRES`, or the one on this machine.
fn on_postgres(runtime: &Runtime) -> Vec<Line> {
    let given = std::env::var("DAA_TEST_POSTGRES").ok();
    let url = given.unwrap_or_else(|| "postgres://root@127.0.0.1:5432/test".to_owned());
    let schema = format!("daa_bench_{}", std::process::id());
    let (ours, theirs) = (format!("{schema}_ours"), format!("{schema}_durare"));
    let options = PostgresOptions::new(&url).and_then(|options| options.with_schema(&ours)).expect("options");
    let Ok(store) = runtime.block_on(PostgresEventStore::open(options)) else {
        eprintln!("workflow on PostgreSQL: skipped, no server at DAA_TEST_POSTGRES or on this machine");
        return Vec::new();
    };
    let peer = durare(&[&url, &theirs], "synchronous_commit=on");
    let lines = side_by_side(runtime, Arc::new(store), peer, "postgres, ");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
        tokio::spawn(connection);
        let remove = format!("DROP SCHEMA {ours} CASCADE; DROP SCHEMA IF EXISTS {theirs} CASCADE");
        client.batch_execute(&remove).await.expect("the schemas removed");
    });
    lines
}

fn side_by_side<S: EventStore + 'static>(
    runtime: &Runtime,
    store: Arc<S>,
    mut peer: Option<Peer>,
    on: &str,
) -> Vec<Line> {
    let world = Arc::new(World::new(store.clone()));
    let serving = runtime.block_on(async {
        world.register_steps(LONG).await;
        world.register_steps(STEPS).await;
        world.serve()
    });
    let (mut alone, mut many) = (Sides::default(), Sides::default());
    for turn in 0..TURNS {
        alone.theirs.extend(peer.as_mut().map(|peer| peer.ask(&format!("steps {LONG}"))));
        alone.ours.push(runtime.block_on(one(&world, turn)));
        many.theirs.extend(peer.as_mut().map(|peer| peer.ask(&format!("runs {RUNS} {STEPS}"))));
        many.ours.push(runtime.block_on(at_once(&world, turn)));
    }
    runtime.block_on(async {
        serving.stop().await;
        store.close().await;
    });
    let micros = |seconds: f64| seconds / LONG as f64 * 1e6;
    let rate = |seconds: f64| (RUNS * STEPS) as f64 / seconds;
    vec![
        alone.line(&format!("{on}durable step of one run"), "us", Better::Lower, micros),
        many.line(&format!("{on}durable, {RUNS} runs of {STEPS} steps"), "steps/s", Better::Higher, rate),
    ]
}

/// Seconds of the turns.
#[derive(Default)]
struct Sides {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Sides {
    fn line(mut self, metric: &str, unit: &'static str, better: Better, figure: impl Fn(f64) -> f64) -> Line {
        let ours = Line::alone("workflow", metric, unit, figure(median(&mut self.ours)));
        if self.theirs.is_empty() {
            return ours;
        }
        ours.beside("durare", figure(median(&mut self.theirs)), better)
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

async fn one(world: &Arc<World>, turn: usize) -> f64 {
    let (world, run) = (world.clone(), run_id(format!("long-{turn}")));
    let began = Instant::now();
    tokio::spawn(async move { world.perform(&run, LONG).await }).await.expect("a run");
    began.elapsed().as_secs_f64()
}

async fn at_once(world: &Arc<World>, turn: usize) -> f64 {
    let began = Instant::now();
    let runs = (0..RUNS).map(|number| {
        let (world, run) = (world.clone(), run_id(format!("short-{turn}-{number}")));
        tokio::spawn(async move { world.perform(&run, STEPS).await })
    });
    let runs: Vec<_> = runs.collect();
    for run in runs {
        run.await.expect("a run");
    }
    began.elapsed().as_secs_f64()
}
