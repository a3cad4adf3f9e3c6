//! What cannot be known at once, is known in the end: after a deadline, for an undo, and of an output too large to keep.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{
    Action, Authorized, ExecuteError, Executor, Executors, Gate, MAX_PARAMS, Outcome, Reconciled,
};
use daa_core::clock::Clock;
use daa_core::event::EventStore;
use daa_core::workflow::testing::{Ending, Script, World};
use daa_core::workflow::{FailureCause, Retry, RunOutcome, Step, StepError, Undo, Workflow, WorkflowEngine};
use serde_json::{Value, json};

use super::world::{Bench, ByKind, action, alice, cause, completed, outcome, secs, then, workflow};

/// How long the outside takes to say what became of an action.
const ASKING: Duration = Duration::from_millis(5);

/// An outside that takes its time to say what became of an action.
#[derive(Debug)]
struct Slow(World, Arc<dyn Clock>);

#[async_trait]
impl Executor for Slow {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        self.0.execute(action).await
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        self.1.sleep(ASKING).await;
        self.0.reconcile(action).await
    }
}

/// Takes effect, never answers, and says so when it is asked; with an output that is too large.
#[derive(Debug)]
struct Large;

#[async_trait]
impl Executor for Large {
    async fn execute(&self, _: &Authorized) -> Result<Outcome, ExecuteError> {
        std::future::pending().await
    }

    async fn reconcile(&self, _: &Action) -> Result<Reconciled, ExecuteError> {
        Ok(Reconciled::Completed(Outcome::new("x".repeat(MAX_PARAMS + 1))))
    }
}

fn gate(bench: &Bench) -> Gate {
    let shared: Arc<dyn EventStore> = bench.store.clone();
    Gate::builder(shared, bench.clock.clone()).with_policy(Arc::new(ByKind("rules 1"))).build()
}

fn performed_by(bench: Bench, executors: Executors) -> Bench {
    let shared: Arc<dyn EventStore> = bench.store.clone();
    let engine = WorkflowEngine::builder(shared, bench.clock.clone(), gate(&bench));
    Bench { engine: engine.with_executors(executors).build(), ..bench }
}

fn slow() -> Bench {
    let bench = Bench::new();
    let slow = || Slow(bench.outside.clone(), bench.clock.clone());
    let all = Executors::new().with("a".parse().unwrap(), slow()).with("unbook".parse().unwrap(), slow());
    performed_by(bench, all)
}

fn forgotten(times: u32) -> Script {
    Script::ending(Ending::Forget(json!("x"), times))
}

fn within_a_moment(kind: &str) -> Workflow {
    workflow("w").with_step(action("s", kind).with_deadline(Duration::from_millis(300))).with_output("${s}")
}

async fn ends(bench: &Bench, flow: &Workflow) -> RunOutcome {
    ends_with(bench, flow, json!(null)).await
}

async fn ends_with(bench: &Bench, flow: &Workflow, input: Value) -> RunOutcome {
    let run = bench.run(flow, input);
    tokio::time::timeout(secs(2 * 24 * 3600), run).await.expect("the run ends")
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_at_the_deadline_is_found_out_after_it() {
    let bench = slow();
    bench.outside.script("a", [forgotten(1)]);
    assert_eq!(ends(&bench, &within_a_moment("a")).await, completed("x"));
    assert_eq!(bench.outside.log(), ["run-1/s"]);
}

#[tokio::test(start_paused = true)]
async fn what_took_no_effect_by_the_deadline_is_not_attempted_after_it() {
    let bench = slow();
    bench.outside.script("a", [Script::hang()]);
    let RunOutcome::RolledBack { cause: FailureCause::Step { error, .. }, .. } =
        ends(&bench, &within_a_moment("a")).await
    else {
        panic!("the step had no time left");
    };
    assert!(matches!(error, StepError::Executor(_)), "{error}");
    assert_eq!((bench.outside.calls("run-1/s"), bench.outside.log()), (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_at_the_deadline_is_found_out_by_the_next_process() {
    let bench = slow();
    bench.outside.script("a", [Script::hang()]);
    let serving = bench.serve("main");
    let run = bench.start("run-1", &within_a_moment("a"), json!(null)).await;
    bench.clock.sleep(Duration::from_millis(100)).await;
    serving.kill();
    bench.clock.sleep(secs(1)).await;
    let next = slow_again(&bench);
    let serving = next.serve("main");
    assert!(matches!(cause(outcome(&next.engine, &run).await), FailureCause::Step { .. }));
    assert_eq!(next.outside.calls("run-1/s"), 1, "it is not attempted after its deadline");
    serving.stop().await.unwrap();
}

fn slow_again(bench: &Bench) -> Bench {
    let slow = Slow(bench.outside.clone(), bench.clock.clone());
    performed_by(bench.restart(), Executors::new().with("a".parse().unwrap(), slow))
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_at_the_deadline_is_found_out_before_the_run_is_rolled_back() {
    let bench = slow();
    bench.outside.script("a", [forgotten(2)]);
    let step = action("s", "a")
        .with_deadline(Duration::from_millis(300))
        .with_undo("unbook".parse().unwrap(), json!({}));
    let serving = bench.serve("main");
    let run = bench.start("run-1", &workflow("w").with_step(step), json!(null)).await;
    bench.clock.sleep(Duration::from_millis(400)).await;
    bench.engine.cancel(&run, alice(), "enough").await.unwrap();
    assert!(matches!(cause(outcome(&bench.engine, &run).await), FailureCause::Cancelled { .. }));
    assert_eq!(bench.outside.log(), ["run-1/s", "run-1/s/undo"]);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_item_that_has_not_begun_by_the_deadline_of_its_step_does_not_begin() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::hang(), Script::succeed(1)]);
    let step = action("s", "a").with_each("${input}", NonZeroU32::new(1)).with_deadline(secs(1));
    let flow = workflow("w").with_step(step.with_failure_allowed()).with_output("${s}");
    assert_eq!(ends_with(&bench, &flow, json!([1, 2])).await, completed(json!([null, null])));
    assert_eq!(bench.outside.log(), [""; 0]);
}

fn large() -> Bench {
    let bench = Bench::new();
    let all = Executors::new()
        .with("book".parse().unwrap(), Large)
        .with("unbook".parse().unwrap(), bench.outside.clone());
    performed_by(bench, all)
}

fn booked() -> Step {
    action("s", "book").with_try_timeout(secs(1)).with_undo("unbook".parse().unwrap(), json!({}))
}

#[tokio::test(start_paused = true)]
async fn what_took_effect_too_late_with_too_large_an_output_is_undone() {
    for retry in [1, 3] {
        let bench = large();
        let step = booked().with_retry(Retry::times(retry));
        let ended = ends(&bench, &workflow("w").with_step(step).with_output("${s}")).await;
        let FailureCause::Step { error, .. } = cause(ended) else { panic!("its output is lost") };
        assert!(matches!(error, StepError::OutputOutOfBounds(_)), "{error}");
        assert_eq!(bench.outside.log(), ["run-1/s/undo"]);
    }
}

/// A step that took effect, and has to be undone by one that may be tried once.
fn undone_once() -> Workflow {
    let mut first = action("s", "book").with_undo("unbook".parse().unwrap(), json!({}));
    if let Undo::Action { retry, .. } = &mut first.undo {
        *retry = Retry::times(1);
    }
    workflow("w").with_step(first).with_step(then("t", "b", "s"))
}

#[tokio::test(start_paused = true)]
async fn an_undo_of_which_nobody_knows_uses_up_no_try_and_is_found_out_about() {
    let bench = Bench::new();
    bench.outside.script("unbook", [forgotten(5)]);
    bench.outside.script("b", [Script::reject()]);
    let ended = ends(&bench, &undone_once()).await;
    assert!(matches!(&ended, RunOutcome::RolledBack { left, .. } if left.is_empty()), "{ended:?}");
    assert_eq!(bench.outside.calls("run-1/s/undo"), 1);
    assert_eq!(gate(&bench).open_actions().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn an_undo_of_which_nobody_knows_is_asked_about_with_growing_waits() {
    let bench = Bench::new();
    bench.outside.script("unbook", [forgotten(12)]);
    bench.outside.script("b", [Script::reject()]);
    let begun = bench.clock.now();
    ends(&bench, &undone_once()).await;
    let waited = bench.clock.now().since(begun);
    assert!(secs(300) < waited && waited < secs(3600), "{waited:?}");
}
