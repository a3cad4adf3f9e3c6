//! The engine itself: the store in memory, and executors that do nothing.

use std::sync::Arc;
use std::time::Instant;

use daa_core::event::{EventStore, MemoryEventStore, PageSize, Position};
use daa_core::workflow::RunOutcome;

use super::world::{World, run_id};
use crate::line::Line;

const STEPS: usize = 10;
/// Runs that are started at once.
const MANY: usize = 20_000;
/// Runs one after the other.
const TIMED: usize = 5_000;
/// Events of runs that are replayed.
const REPLAYED: usize = 1_000_000;

pub(crate) async fn run() -> Vec<Line> {
    let line = |metric, unit, figure| Line::alone("steps", metric, unit, figure);
    let mut micros = tokio::spawn(latency()).await.expect("the latency");
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[(share * micros.len() as f64) as usize];
    let mut lines = vec![
        line("in memory: run of 10 steps, median", "us", at(0.5)),
        line("in memory: run of 10 steps, p99", "us", at(0.99)),
    ];
    let (rate, busy) = throughput(MANY).await;
    lines.push(line("in memory: 20,000 runs of 10 steps", "steps/s", rate));
    lines.extend(busy.map(|micros| line("in memory: processor time of a step", "us", micros)));
    let (events, seconds) = replay().await;
    lines.push(line("replay of a million events of runs", "s", seconds * REPLAYED as f64 / events as f64));
    lines
}

/// Microseconds from the start of a run to its outcome.
async fn latency() -> Vec<f64> {
    let world = World::new(Arc::new(MemoryEventStore::new()));
    world.register_steps(STEPS).await;
    let serving = world.serve();
    let mut micros = Vec::with_capacity(TIMED);
    for number in 0..TIMED {
        let run = run_id(format!("run-{number}"));
        let began = Instant::now();
        world.perform(&run, STEPS).await;
        micros.push(began.elapsed().as_secs_f64() * 1e6);
    }
    serving.stop().await;
    micros
}

/// Steps a second, from the first start to the last action performed, and microseconds of processor time of a step.
pub(crate) async fn throughput(runs: usize) -> (f64, Option<f64>) {
    let world = Arc::new(World::new(Arc::new(MemoryEventStore::new())));
    world.register_steps(STEPS).await;
    let serving = world.serve();
    world.performed.expect(runs * STEPS);
    let (began, before) = (Instant::now(), processor_seconds());
    start_all(&world, runs);
    world.performed.all().await;
    let seconds = began.elapsed().as_secs_f64();
    let busy = processor_seconds().zip(before).map(|(after, before)| after - before);
    serving.stop().await;
    let steps = (runs * STEPS) as f64;
    (steps / seconds, busy.map(|busy| busy / steps * 1e6))
}

/// What the threads of this process have used of the processors, which load beside it disturbs less than time; `None` where
/// Linux does not tell.
fn processor_seconds() -> Option<f64> {
    let mut nanos = 0.0;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let used = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanos += used.split_whitespace().next()?.parse::<f64>().ok()?;
    }
    Some(nanos / 1e9)
}

fn start_all(world: &Arc<World>, runs: usize) {
    let world = world.clone();
    tokio::spawn(async move {
        for number in 0..runs {
            world.start(&run_id(format!("run-{number}")), STEPS).await;
        }
    });
}

/// The events of runs, and the seconds that it takes to read every run from its own.
async fn replay() -> (usize, f64) {
    let store = Arc::new(MemoryEventStore::new());
    let world = Arc::new(World::new(store.clone()));
    world.register_steps(STEPS).await;
    let serving = world.serve();
    world.perform(&run_id("probe".to_owned()), STEPS).await;
    let each = events_of_runs(&*store).await;
    let runs = REPLAYED.div_ceil(each);
    world.performed.expect(runs * STEPS);
    start_all(&world, runs);
    world.performed.all().await;
    for number in 0..runs {
        world.engine.outcome(&run_id(format!("run-{number}"))).await.expect("an outcome");
    }
    serving.stop().await;

    let events = events_of_runs(&*store).await - each;
    let began = Instant::now();
    let halves = [0, 1].map(|half| {
        let world = world.clone();
        tokio::spawn(async move {
            for number in (half..runs).step_by(2) {
                let view = world.engine.view(&run_id(format!("run-{number}"))).await.expect("a run");
                assert!(matches!(view.outcome(), Some(RunOutcome::Completed { .. })), "every run has ended");
            }
        })
    });
    for half in halves {
        half.await.expect("a half");
    }
    (events, began.elapsed().as_secs_f64())
}

async fn events_of_runs(store: &dyn EventStore) -> usize {
    let (mut after, mut events) = (Position::START, 0);
    loop {
        let page = store.read_all(after, PageSize::default()).await.expect("a page");
        let Some(last) = page.last() else { return events };
        after = last.position;
        events += page.iter().filter(|event| event.stream.as_str().starts_with("workflow/")).count();
    }
}
