//! What is too much for one append is done in several.

use std::time::Duration;

use daa_core::workflow::{Step, Workflow};
use serde_json::json;

use super::world::{Bench, completed, outcome, secs, workflow};

fn over_list(step: Step) -> Step {
    step.with_each("${input}", None)
}

#[tokio::test(start_paused = true)]
async fn more_tasks_may_begin_to_wait_at_once_than_fit_into_an_append() {
    let bench = Bench::new();
    let mut flow = workflow("w").with_output("done");
    for n in 0..11 {
        flow = flow.with_step(over_list(Step::sleep(format!("s{n}").parse().unwrap(), secs(1))));
    }
    let items: Vec<u32> = (0..1_000).collect();
    let ended = tokio::time::timeout(secs(60), bench.run(&flow, json!(items))).await;
    assert_eq!(ended, Ok(completed("done")));
}

#[tokio::test(start_paused = true)]
async fn more_signals_may_have_come_than_fit_into_an_append() {
    let bench = Bench::new();
    let nap = Step::sleep("nap".parse().unwrap(), secs(3_600));
    let wait = over_list(Step::signal("s".parse().unwrap(), "go".parse().unwrap()));
    let flow = workflow("w").with_step(nap).with_step(wait.with_after("nap".parse().unwrap()));
    let serving = bench.serve("main");
    let items: Vec<u32> = (0..300).collect();
    let run = bench.start("run-1", &flow.with_output("done"), json!(items)).await;
    for _ in 0..300 {
        bench.engine.signal(&run, "go".parse().unwrap(), "x".repeat(60_000), None).await.unwrap();
    }
    assert_eq!(outcome(&bench.engine, &run).await, completed("done"));
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_fails_however_many_of_its_children_cannot_be_started() {
    let bench = Bench::new();
    let child = Step::workflow("s".parse().unwrap(), "nowhere".parse().unwrap(), json!({}));
    let flow: Workflow = workflow("w").with_step(over_list(child));
    let items: Vec<u32> = (0..100).collect();
    let ended = tokio::time::timeout(Duration::from_secs(60), bench.run(&flow, json!(items))).await;
    assert!(ended.is_ok_and(|ended| !ended.is_completed()));
}
