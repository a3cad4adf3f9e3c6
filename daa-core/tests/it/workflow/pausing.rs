//! What becomes of runs that are paused, resumed and cancelled.

use daa_core::id::RunId;
use daa_core::workflow::testing::Script;
use daa_core::workflow::*;
use serde_json::{Value, json};

use super::world::{Bench, action, alice, cause, completed, outcome, secs, then, workflow};

#[tokio::test(start_paused = true)]
async fn a_paused_run_begins_nothing_until_it_is_resumed() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::succeed(1).after(secs(10))]);
    let serving = bench.serve("main");
    let flow = workflow("w").with_step(action("one", "a")).with_step(then("two", "b", "one"));
    let run = bench.start("run-1", &flow, json!(null)).await;
    bench.clock.sleep(secs(1)).await;
    bench.engine.pause(&run, "a break").await.unwrap();
    bench.engine.pause(&run, "a break").await.unwrap();
    bench.clock.sleep(secs(3600)).await;
    // What was under way came to its end, and is recorded.
    assert_eq!(bench.outside.log(), ["run-1/one"]);
    let view = bench.engine.view(&run).await.unwrap();
    assert_eq!(view.state, RunState::Paused);
    assert_eq!(view.step(&"one".parse().unwrap()).unwrap().status, StepStatus::Succeeded);
    assert_eq!(view.step(&"two".parse().unwrap()).unwrap().status, StepStatus::Pending);
    bench.engine.resume(&run).await.unwrap();
    assert_eq!(outcome(&bench.engine, &run).await, completed(Value::Null));
    assert_eq!(bench.outside.log(), ["run-1/one", "run-1/two"]);
    serving.stop().await.unwrap();
}

/// A run that did one step, and was paused before the next.
async fn paused(bench: &Bench, flow: impl FnOnce(Workflow) -> Workflow) -> RunId {
    let wait =
        Step::signal("wait".parse().unwrap(), "go".parse().unwrap()).with_after("one".parse().unwrap());
    let undo = |step: Step| step.with_undo("refund".parse().unwrap(), json!({}));
    let flow = flow(workflow("w").with_step(undo(action("one", "a"))).with_step(wait));
    let run = bench.start("run-1", &flow, json!(null)).await;
    bench.clock.sleep(secs(1)).await;
    bench.engine.pause(&run, "a break").await.unwrap();
    bench.clock.sleep(secs(1)).await;
    run
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_that_is_cancelled_is_rolled_back_without_being_resumed() {
    let bench = Bench::new();
    let serving = bench.serve("main");
    let run = paused(&bench, |flow| flow).await;
    bench.engine.cancel(&run, alice(), "enough").await.unwrap();
    let cancelled = FailureCause::Cancelled { by: alice(), reason: "enough".to_owned() };
    assert_eq!(cause(outcome(&bench.engine, &run).await), cancelled);
    assert_eq!(bench.outside.log(), ["run-1/one", "run-1/one/undo"]);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_is_paused_goes_on_when_the_run_is_cancelled() {
    let bench = Bench::new();
    bench.outside.script("refund", vec![Script::fail(); 2]);
    let serving = bench.serve("main");
    let run = paused(&bench, |flow| flow).await;
    bench.engine.cancel(&run, alice(), "enough").await.unwrap();
    bench.engine.pause(&run, "another break").await.unwrap();
    bench.clock.sleep(secs(3600)).await;
    assert_eq!(bench.engine.view(&run).await.unwrap().state, RunState::Paused);
    bench.engine.cancel(&run, alice(), "really").await.unwrap();
    let cancelled = FailureCause::Cancelled { by: alice(), reason: "enough".to_owned() };
    assert_eq!(cause(outcome(&bench.engine, &run).await), cancelled, "the first reason counts");
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_that_takes_too_long_is_rolled_back_at_its_deadline() {
    for restarted in [false, true] {
        let bench = Bench::new();
        let mut serving = bench.serve("main");
        let began = bench.clock.now();
        let run = paused(&bench, |flow| flow.with_deadline(secs(3600))).await;
        if restarted {
            serving.stop().await.unwrap();
            serving = bench.serve("main");
        }
        let deadline = began + secs(3600);
        assert_eq!(cause(outcome(&bench.engine, &run).await), FailureCause::Deadline { deadline });
        assert!(bench.clock.now() < deadline + secs(1));
        assert_eq!(bench.outside.log(), ["run-1/one", "run-1/one/undo"]);
        serving.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_paused_child_of_a_cancelled_run_is_rolled_back_too() {
    let bench = Bench::new();
    let wait = Step::signal("wait".parse().unwrap(), "go".parse().unwrap());
    bench.engine.register(workflow("inner").with_step(wait)).await.unwrap();
    let sub = Step::workflow("sub".parse().unwrap(), "inner".parse().unwrap(), json!({}));
    let serving = bench.serve("main");
    let run = bench.start("run-1", &workflow("w").with_step(sub), json!(null)).await;
    bench.clock.sleep(secs(1)).await;
    bench.engine.pause(&"run-1/sub".parse().unwrap(), "a break").await.unwrap();
    bench.engine.cancel(&run, alice(), "enough").await.unwrap();
    assert!(matches!(cause(outcome(&bench.engine, &run).await), FailureCause::Cancelled { .. }));
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_lets_what_is_under_way_end_and_undoes_it_too() {
    let bench = Bench::new();
    bench.outside.script("b", [Script::succeed("late").after(secs(10))]);
    let serving = bench.serve("main");
    let undo = |step: Step| step.with_undo("refund".parse().unwrap(), json!({}));
    let flow = workflow("w")
        .with_step(undo(action("one", "a")))
        .with_step(undo(then("two", "b", "one")))
        .with_step(then("three", "c", "two"));
    let run = bench.start("run-1", &flow, json!(null)).await;
    bench.clock.sleep(secs(1)).await;
    bench.engine.cancel(&run, alice(), "no longer needed").await.unwrap();
    bench.clock.sleep(secs(1)).await;
    assert_eq!(bench.outside.log(), ["run-1/one"], "it waits for what is under way");
    assert!(matches!(bench.engine.view(&run).await.unwrap().state, RunState::RollingBack(_)));
    // Asking again is no error, and changes nothing.
    bench.engine.cancel(&run, alice(), "again").await.unwrap();
    let cause = cause(outcome(&bench.engine, &run).await);
    assert_eq!(cause, FailureCause::Cancelled { by: alice(), reason: "no longer needed".to_owned() });
    assert_eq!(bench.outside.log(), ["run-1/one", "run-1/two", "run-1/two/undo", "run-1/one/undo"]);
    assert_eq!(bench.engine.metrics().steps_undone, 2);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_children_of_a_cancelled_run_are_cancelled_and_rolled_back_first() {
    let bench = Bench::new();
    let undo = |step: Step| step.with_undo("refund".parse().unwrap(), json!({}));
    let wait = Step::signal("wait".parse().unwrap(), "go".parse().unwrap()).with_after("in".parse().unwrap());
    let inner = workflow("inner").with_step(undo(action("in", "a"))).with_step(wait);
    bench.engine.register(inner).await.unwrap();
    let sub = Step::workflow("sub".parse().unwrap(), "inner".parse().unwrap(), json!({}));
    let sub = sub.with_each(json!([1, 2]), None).with_after("one".parse().unwrap());
    let flow = workflow("w").with_step(undo(action("one", "a"))).with_step(sub);
    let serving = bench.serve("main");
    let run = bench.start("run-1", &flow, json!(null)).await;
    bench.clock.sleep(secs(1)).await;
    bench.engine.cancel(&run, alice(), "enough").await.unwrap();
    let cancelled = cause(outcome(&bench.engine, &run).await);
    assert!(matches!(cancelled, FailureCause::Cancelled { .. }));
    for child in ["run-1/sub", "run-1/sub.1"] {
        let cause = cause(outcome(&bench.engine, &child.parse().unwrap()).await);
        assert_eq!(cause, FailureCause::Cancelled { by: alice(), reason: "run-1 is rolled back".to_owned() });
    }
    let mut log = bench.outside.log();
    assert_eq!(log.pop().unwrap(), "run-1/one/undo", "the last");
    log.sort();
    assert_eq!(
        log,
        ["run-1/one", "run-1/sub.1/in", "run-1/sub.1/in/undo", "run-1/sub/in", "run-1/sub/in/undo"]
    );
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pausing_what_is_not_running_and_resuming_what_is_not_paused_is_refused() {
    let bench = Bench::new();
    let serving = bench.serve("main");
    let run = bench
        .start("run-1", &workflow("w").with_step(Step::sleep("nap".parse().unwrap(), secs(60))), 1)
        .await;
    assert!(matches!(bench.engine.resume(&run).await, Err(WorkflowError::Refused(Refused::NotPaused))));
    bench.engine.pause(&run, "x").await.unwrap();
    // The moment passes while it is paused, and is not lost.
    bench.clock.sleep(secs(120)).await;
    assert_eq!(bench.engine.view(&run).await.unwrap().state, RunState::Paused);
    bench.engine.resume(&run).await.unwrap();
    assert_eq!(outcome(&bench.engine, &run).await, completed(Value::Null));
    serving.stop().await.unwrap();
}
