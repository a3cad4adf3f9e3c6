//! What a run says of itself.

use std::time::Duration;

use daa_core::id::RunId;
use daa_core::workflow::testing::{Ending, Script};
use daa_core::workflow::{Retry, Step, Workflow};
use serde_json::{Value, json};

use super::world::Bench;

fn one() -> Workflow {
    let retry = Retry::times(2).with_waits(Duration::from_secs(1), Duration::from_secs(1)).with_jitter(0.0);
    let undo = ("refund".parse().unwrap(), json!({}));
    let step = Step::action("one".parse().unwrap(), "a".parse().unwrap(), json!({})).with_retry(retry);
    let fails = Step::action("two".parse().unwrap(), "b".parse().unwrap(), json!({}));
    Workflow::new("w".parse().unwrap())
        .with_step(step.with_undo(undo.0, undo.1))
        .with_step(fails.with_after("one".parse().unwrap()))
}

/// The lines about a task, or about workers.
async fn lines(bench: &Bench, of: &str) -> Vec<String> {
    let run: RunId = "run-1".parse().unwrap();
    let lines = bench.engine.explain(&run).await.unwrap().lines.into_iter().map(|line| line.text);
    lines.filter(|line| line.starts_with(of)).collect()
}

const NOTHING: &str = "its executor was asked what became of it: nothing";
const EFFECT: &str = "its executor was asked what became of it: it took effect";

#[tokio::test(start_paused = true)]
async fn that_an_executor_was_asked_what_became_of_an_attempt_is_told() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::ending(Ending::LoseRequest), Script::lose_answer(1)]);
    bench.outside.script("b", [Script::reject()]);
    bench.outside.script("refund", [Script::lose_answer(Value::Null)]);
    bench.run(&one(), json!(null)).await;
    let told = lines(&bench, "one: ").await;
    let expected = [
        "one: begins, try 1",
        &format!("one: {NOTHING}"),
        "one: failed",
        "one: begins, try 2",
        &format!("one: {EFFECT}"),
        "one: done, yields 1",
        "one: is undone, try 1",
        "one: its executor was asked what became of its undo: it took effect",
        "one: undone",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    assert!(told.iter().zip(expected).all(|(line, expected)| line.starts_with(expected)), "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_taken_before_anything_is_done_with_it() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::hang()]);
    let serving = bench.serve("main");
    let run = bench.start("run-1", &one(), json!(null)).await;
    bench.clock.sleep(Duration::from_secs(1)).await;
    serving.kill();
    let again = bench.restart();
    let serving = again.serve("main");
    again.engine.outcome(&run).await.unwrap();
    serving.stop().await.unwrap();
    let told = lines(&again, "").await;
    let expected = [
        "started: ",
        "taken by worker main, life 1",
        "one: begins, try 1",
        "taken by worker main, life 2",
        &format!("one: {NOTHING}"),
        "one: done",
        "two: begins, try 1",
        "two: done",
        "completed",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    assert!(told.iter().zip(expected).all(|(line, expected)| line.starts_with(expected)), "{told:#?}");
}
