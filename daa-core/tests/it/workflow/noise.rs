//! Workflows in a store whose log is busy with other things.

use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::Clock;
use daa_core::event::{Batch, EventStore, ExpectedVersion, NewEvent, StreamWrite};
use daa_core::workflow::testing::Script;
use daa_core::workflow::{Step, WorkerOptions, Workflow};
use serde_json::{Value, json};

use super::world::{Bench, completed};

const LEASE: Duration = Duration::from_secs(3);
/// More than a worker follows without looking up.
const AT_ONCE: usize = 300;

/// Events of agents, of books, and of streams whose names or kinds look like those of workflows.
fn noise(clock: &dyn Clock) -> Batch {
    let streams = [
        ("agent/busy", "agent.observed.v1"),
        ("account/alice", "ledger.posted.v1"),
        ("workflows", "workflow.ended.v1"),
        ("workflow-report/run-1", "workflow.started.v1"),
        ("notes/workflow/run-1", "workflow.cancel_requested.v1"),
    ];
    streams.into_iter().fold(Batch::new(), |batch, (stream, kind)| {
        let event = || NewEvent::json(kind.parse().unwrap(), clock.now(), &"of no concern").unwrap();
        let events = (0..AT_ONCE / streams.len()).map(|_| event()).collect();
        batch.with(StreamWrite::new(stream.parse().unwrap(), ExpectedVersion::Any, events))
    })
}

async fn make_noise(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>) {
    loop {
        store.append(noise(&*clock)).await.unwrap();
        // Time passes, and the log is never silent.
        tokio::time::advance(Duration::from_millis(10)).await;
    }
}

fn action(name: &str, kind: &str) -> Step {
    Step::action(name.parse().unwrap(), kind.parse().unwrap(), json!({}))
}

#[tokio::test(start_paused = true)]
async fn runs_are_found_resumed_and_woken_in_time_however_busy_the_log_is() {
    let bench = Bench::new();
    let options = WorkerOptions::default().with_lease(LEASE).with_clock_skew(Duration::ZERO);
    bench.outside.script("a", [Script::succeed(1).after(Duration::from_secs(3600))]);
    let resumed = Workflow::new("resumed".parse().unwrap())
        .with_step(action("one", "a"))
        .with_step(action("two", "b").with_after("one".parse().unwrap()));
    let woken = Workflow::new("woken".parse().unwrap())
        .with_step(Step::sleep("nap".parse().unwrap(), Duration::from_secs(5)))
        .with_step(action("up", "c").with_after("nap".parse().unwrap()));
    let noisy = tokio::spawn(make_noise(bench.store.clone(), bench.clock.clone()));

    let dying = bench.serve_with("dying", options);
    let began = bench.clock.now();
    let resumed = bench.start("run-1", &resumed, json!(null)).await;
    let woken = bench.start("run-2", &woken, json!(null)).await;
    bench.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.outside.calls("run-1/one"), 1);
    dying.kill();
    // More than two pages of the log, of which ten events are of concern.
    for _ in 0..70 {
        bench.store.append(noise(&*bench.clock)).await.unwrap();
    }

    let after = bench.restart();
    let serving = after.serve_with("living", options);
    let late = Workflow::new("late".parse().unwrap()).with_step(action("only", "d"));
    let late = bench.start("run-3", &late, json!(null)).await;
    for run in [&resumed, &woken, &late] {
        let outcome = tokio::time::timeout(LEASE * 4, after.engine.outcome(run)).await;
        assert_eq!(outcome.expect("in time").unwrap(), completed(Value::Null), "{run}");
    }
    let at = |id: &str| after.outside.effects().iter().find(|effect| effect.id.as_str() == id).unwrap().at;
    assert!(at("run-2/up") < began + Duration::from_secs(6), "{:?}", at("run-2/up"));
    assert!(at("run-3/only") < began + Duration::from_secs(2), "{:?}", at("run-3/only"));
    assert_eq!(after.outside.repeated(), []);
    noisy.abort();
    serving.stop().await.unwrap();
}
