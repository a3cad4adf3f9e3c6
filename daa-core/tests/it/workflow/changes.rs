//! Variables and definitions that change under a run: what was asked for under an id stays what it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daa_core::action::{
    Action, ActionState, ActionStatus, Context, Decision, Gate, JournalAudit, Policy, Request, Verdict,
};
use daa_core::digest::Digest;
use daa_core::id::RunId;
use daa_core::workflow::testing::{Ending, Script};
use daa_core::workflow::{
    Answer, FailureCause, Incompatible, RegisterError, Retry, RunOutcome, RunView, Step, StepError, Task,
    Type, Variable, Workflow, WorkflowEngine,
};
use serde_json::{Value, json};

use super::world::{Bench, ByKind, alice, completed, executors};

fn workflow() -> Workflow {
    Workflow::new("w".parse().unwrap()).with_var("x", Variable::new(Type::Any, 1))
}

/// A step whose parameters are those of the moment.
fn of_x(name: &str, kind: &str) -> Step {
    let retry = Retry::times(3).with_waits(Duration::from_secs(10), Duration::from_secs(10)).with_jitter(0.0);
    Step::action(name.parse().unwrap(), kind.parse().unwrap(), json!({ "x": "${vars.x}" })).with_retry(retry)
}

fn then(name: &str, kind: &str, after: &str) -> Step {
    Step::action(name.parse().unwrap(), kind.parse().unwrap(), json!({})).with_after(after.parse().unwrap())
}

fn gate(bench: &Bench) -> Gate {
    Gate::builder(bench.store.clone(), bench.clock.clone()).with_policy(Arc::new(ByKind("rules 1"))).build()
}

async fn status(bench: &Bench, id: &str) -> ActionStatus {
    gate(bench).status(&id.parse().unwrap()).await.unwrap().expect("it was asked for")
}

async fn ended(bench: &Bench, run: &RunId) -> RunOutcome {
    let hour = Duration::from_secs(3600);
    let outcome = tokio::time::timeout(hour, bench.engine.outcome(run)).await;
    outcome.expect("the run ends").unwrap()
}

/// What took effect: id, and the parameter.
fn effects(bench: &Bench) -> Vec<(String, Value)> {
    bench
        .outside
        .effects()
        .into_iter()
        .map(|effect| (effect.id.to_string(), effect.params["x"].clone()))
        .collect()
}

async fn audited(bench: &Bench) {
    let mut audit = JournalAudit::new();
    audit.catch_up(&*bench.store).await.unwrap();
    assert_eq!(audit.summary().findings, []);
}

/// Starts, and changes the variable after a second.
async fn changed(bench: &Bench, flow: &Workflow, to: impl Into<Value>) -> RunId {
    let run = bench.start("run-1", flow, json!(null)).await;
    bench.clock.sleep(Duration::from_secs(1)).await;
    bench.engine.update(&run, "x", to).await.unwrap();
    run
}

#[tokio::test(start_paused = true)]
async fn a_later_try_is_of_what_was_asked_for_first() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::fail()]);
    let serving = bench.serve("main");
    let run = changed(&bench, &workflow().with_step(of_x("one", "a")), 2).await;
    assert_eq!(ended(&bench, &run).await, completed(Value::Null));
    assert_eq!(effects(&bench), [("run-1/one".to_owned(), json!(1))]);
    let status = status(&bench, "run-1/one").await;
    assert_eq!((status.action.params(), status.attempts), (&json!({ "x": 1 }), 2));
    assert!(matches!(status.state, ActionState::Succeeded(_)));
    audited(&bench).await;
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_try_whose_outcome_is_unknown_is_found_out_about_though_its_parameters_are_none_any_more() {
    for nonsense in [json!(2), json!("no money")] {
        let bench = Bench::new();
        bench.outside.script("a", [Script::ending(Ending::Forget(json!("done"), 2))]);
        let serving = bench.serve("main");
        let flow = workflow().with_var("x", Variable::new(Type::Any, Value::Null));
        let step = of_x("one", "a").with_max_cost("${vars.x}");
        let run = changed(&bench, &flow.with_step(step).with_output("${one}"), nonsense).await;
        assert_eq!(ended(&bench, &run).await, completed("done"));
        assert_eq!(effects(&bench), [("run-1/one".to_owned(), Value::Null)]);
        serving.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_is_tried_again_is_of_what_was_asked_for_first() {
    let bench = Bench::new();
    bench.outside.script("b", [Script::reject()]);
    bench.outside.script("refund", [Script::fail(), Script::ending(Ending::Forget(Value::Null, 2))]);
    let serving = bench.serve("main");
    let one = of_x("one", "a").with_undo("refund".parse().unwrap(), json!({ "x": "${vars.x}" }));
    let run = changed(&bench, &workflow().with_step(one).with_step(then("two", "b", "one")), 2).await;
    let RunOutcome::RolledBack { left, .. } = ended(&bench, &run).await else { panic!() };
    assert_eq!(left, []);
    assert_eq!(
        effects(&bench),
        [("run-1/one".to_owned(), json!(1)), ("run-1/one/undo".to_owned(), json!(1))]
    );
    audited(&bench).await;
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_finds_out_about_what_was_asked_for() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::ending(Ending::Forget(Value::Null, 3))]);
    let serving = bench.serve("main");
    let one = of_x("one", "a").with_undo("refund".parse().unwrap(), json!({ "x": "${vars.x}" }));
    let run = changed(&bench, &workflow().with_step(one), 2).await;
    bench.engine.cancel(&run, alice(), "enough").await.unwrap();
    let RunOutcome::RolledBack { left, cause } = ended(&bench, &run).await else { panic!() };
    assert!(matches!(cause, FailureCause::Cancelled { .. }), "{cause:?}");
    assert_eq!(left, []);
    // The undo was first asked for after the change.
    assert_eq!(
        effects(&bench),
        [("run-1/one".to_owned(), json!(1)), ("run-1/one/undo".to_owned(), json!(2))]
    );
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_between_two_tries_ends() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::fail()]);
    let serving = bench.serve("main");
    let run = changed(&bench, &workflow().with_step(of_x("one", "a")), 2).await;
    bench.engine.cancel(&run, alice(), "enough").await.unwrap();
    assert!(matches!(ended(&bench, &run).await, RunOutcome::RolledBack { .. }));
    assert_eq!(effects(&bench), []);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_performed_is_what_was_approved() {
    let bench = Bench::new();
    let serving = bench.serve("main");
    let run = changed(&bench, &workflow().with_step(of_x("one", "escalate.it")), 1_000_000).await;
    let asked = |view: &RunView| view.approvals().next().unwrap().1.subject;
    let subject = asked(&bench.engine.view(&run).await.unwrap());
    let withheld = status(&bench, "run-1/one").await;
    assert_eq!((withheld.digest, withheld.action.params()), (subject, &json!({ "x": 1 })));
    let answer = Answer::approve(Task::new("one".parse().unwrap(), 0), subject, "bob".parse().unwrap());
    bench.engine.answer(&run, answer).await.unwrap();
    assert_eq!(ended(&bench, &run).await, completed(Value::Null));
    assert_eq!(effects(&bench), [("run-1/one".to_owned(), json!(1))]);
    assert_eq!(status(&bench, "run-1/one").await.digest, subject);
    audited(&bench).await;
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_id_that_somebody_else_used_for_another_action_fails_its_step() {
    for (kind, params) in [("a", json!({ "x": 7 })), ("b", json!({ "x": 1 }))] {
        let bench = Bench::new();
        let theirs = Action::new("run-1/one".parse().unwrap(), kind.parse().unwrap(), alice()).unwrap();
        let theirs = theirs.with_params(params).unwrap();
        gate(&bench).submit(theirs, Context::new(), &bench.outside).await.unwrap();
        let serving = bench.serve("main");
        let run = bench.start("run-1", &workflow().with_step(of_x("one", "a")), json!(null)).await;
        let RunOutcome::RolledBack { cause, left } = ended(&bench, &run).await else { panic!() };
        let used = StepError::IdUsed { id: "run-1/one".parse().unwrap() };
        assert_eq!(cause, FailureCause::Step { task: Task::new("one".parse().unwrap(), 0), error: used });
        assert_eq!(left, []);
        assert_eq!(bench.outside.log(), ["run-1/one"]);
        serving.stop().await.unwrap();
    }
}

/// Permits until it is told to deny.
#[derive(Debug, Default)]
struct Moody(AtomicBool);

impl Policy for Moody {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        let decision = match self.0.load(Ordering::Relaxed) {
            true => Decision::Deny { reason: "not today".to_owned() },
            false => Decision::Permit,
        };
        Verdict::new(decision, Digest::of(b"moody"), Vec::new())
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_came_to_nothing_long_ago_has_to_be_permitted_again() {
    for (away, performed) in [(30, true), (120, false)] {
        let moody = Arc::new(Moody::default());
        let under = |bench: Bench| {
            let gate =
                Gate::builder(bench.store.clone(), bench.clock.clone()).with_policy(moody.clone()).build();
            let engine = WorkflowEngine::builder(bench.store.clone(), bench.clock.clone(), gate)
                .with_executors(executors(&bench.outside));
            Bench { engine: engine.build(), ..bench }
        };
        let bench = under(Bench::new());
        bench.outside.script("a", [Script::hang()]);
        let serving = bench.serve("main");
        let run = bench.start("run-1", &workflow().with_step(of_x("one", "a")), json!(null)).await;
        bench.clock.sleep(Duration::from_secs(1)).await;
        serving.kill();
        moody.0.store(true, Ordering::Relaxed);
        bench.clock.sleep(Duration::from_secs(away)).await;
        let again = under(bench.restart());
        let serving = again.serve("main");
        let outcome = ended(&again, &run).await;
        if performed {
            assert_eq!(outcome, completed(Value::Null));
        } else {
            let RunOutcome::RolledBack { cause: FailureCause::Step { error, .. }, left } = outcome else {
                panic!()
            };
            assert!(matches!(error, StepError::Denied { .. }), "{error:?}");
            assert_eq!(left, []);
        }
        assert_eq!(effects(&again).len(), usize::from(performed));
        audited(&again).await;
        serving.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_does_not_move_to_a_version_that_asks_for_something_else_where_it_has_asked() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::fail()]);
    let serving = bench.serve("main");
    let flow = workflow().with_step(of_x("one", "a")).with_step(then("two", "b", "one"));
    let run = bench.start("run-1", &flow, json!(null)).await;
    bench.clock.sleep(Duration::from_secs(1)).await;
    let other = Step::action("one".parse().unwrap(), "a".parse().unwrap(), json!({ "x": 3 }));
    let newer = workflow().with_step(other.clone()).with_step(then("two", "b", "one"));
    let refused = bench.engine.migrate(&run, newer).await.unwrap_err();
    let RegisterError::Incompatible(Incompatible::StepChanged { step, what }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((step.as_str(), what), ("one", "parameters"));
    // What was not asked for yet may change.
    let two = Step::action("two".parse().unwrap(), "b".parse().unwrap(), json!({ "x": 4 }));
    let newer = workflow().with_step(of_x("one", "a")).with_step(two.with_after("one".parse().unwrap()));
    bench.engine.migrate(&run, newer).await.unwrap();
    assert_eq!(ended(&bench, &run).await, completed(Value::Null));
    assert_eq!(effects(&bench), [("run-1/one".to_owned(), json!(1)), ("run-1/two".to_owned(), json!(4))]);
    serving.stop().await.unwrap();
}
