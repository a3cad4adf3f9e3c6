//! Runs that wait for a signal, on SQLite: what each costs the worker, and what very many cost at its start.

use std::sync::Arc;
use std::time::Instant;

use daa_core::event::{EventStore, PageSize, Position};
use daa_store::sqlite::SqliteEventStore;

use super::world::{World, open, run_id};
use crate::heap::Count;
use crate::line::Line;

const PARKED: usize = 10_000;
const OPEN: usize = 100_000;
/// Runs that are due when the worker starts.
const DUE: usize = 5;
/// Starts at a time.
const STARTERS: usize = 64;

pub(crate) async fn run() -> Vec<Line> {
    let line = |metric, unit, figure| Line::alone("workflow", metric, unit, figure);
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let here = parked_here(open(dir.path())).await;
    let after = parked_before(open(dir.path())).await;
    let dir = tempfile::tempdir_in(".").expect("a directory");
    park(&open(dir.path()), OPEN).await;
    let start = start_up(open(dir.path())).await;
    vec![
        line("parked run, in the worker that parked it", "bytes", here),
        line("parked run, after a restart", "bytes", after),
        line("first progress with 100,000 runs parked", "s", start),
    ]
}

/// Has so many runs parked.
async fn park(store: &Arc<SqliteEventStore>, runs: usize) {
    let world = Arc::new(World::new(store.clone()));
    world.register_waiting().await;
    let serving = world.serve();
    park_in(&world, &**store, runs).await;
    serving.stop().await;
    store.close().await;
}

async fn park_in(world: &Arc<World>, store: &dyn EventStore, runs: usize) {
    let mut log = store.subscribe(store.head().await.expect("a head")).await.expect("a subscription");
    let starters = (0..STARTERS).map(|starter| {
        let world = world.clone();
        tokio::spawn(async move {
            for number in (starter..runs).step_by(STARTERS) {
                world.start_named(&run_id(format!("parked-{number}")), "waiting").await;
            }
        })
    });
    let starters: Vec<_> = starters.collect();
    let mut parked = 0;
    while parked < runs {
        let event = log.next().await.expect("an event").expect("an open store");
        parked += usize::from(event.kind.as_str() == "workflow.parked.v1");
    }
    for starter in starters {
        starter.await.expect("a starter");
    }
}

/// Bytes of a run in the worker that parked it; with what the store remembers of its streams.
async fn parked_here(store: Arc<SqliteEventStore>) -> f64 {
    let world = Arc::new(World::new(store.clone()));
    world.register_waiting().await;
    world.register_steps(1).await;
    let serving = world.serve();
    world.perform(&run_id("first".to_owned()), 1).await;
    let count = Count::begin();
    park_in(&world, &*store, PARKED).await;
    // The worker has dealt with the others when it has dealt with this one.
    world.perform(&run_id("last".to_owned()), 1).await;
    let bytes = count.bytes() as f64 / PARKED as f64;
    drop(count);
    serving.stop().await;
    store.close().await;
    bytes
}

/// Bytes of a run in a worker that found it parked. The store has met all names before.
async fn parked_before(store: Arc<SqliteEventStore>) -> f64 {
    let mut after = Position::START;
    loop {
        let page = store.read_all(after, PageSize::new(PageSize::MAX)).await.expect("a page");
        let Some(last) = page.last() else { break };
        after = last.position;
    }
    let world = World::new(store.clone());
    let count = Count::begin();
    let serving = world.serve();
    world.register_steps(1).await;
    world.perform(&run_id("after".to_owned()), 1).await;
    let bytes = count.bytes() as f64 / PARKED as f64;
    drop(count);
    serving.stop().await;
    store.close().await;
    bytes
}

/// Seconds from `serve` to the first action of a run that is due.
async fn start_up(store: Arc<SqliteEventStore>) -> f64 {
    let world = World::new(store.clone());
    world.register_steps(1).await;
    for number in 0..DUE {
        world.start(&run_id(format!("due-{number}")), 1).await;
    }
    world.performed.expect(1);
    let began = Instant::now();
    let serving = world.serve();
    world.performed.all().await;
    let seconds = began.elapsed().as_secs_f64();
    serving.stop().await;
    store.close().await;
    seconds
}
