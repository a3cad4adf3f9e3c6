//! Compensation.

use daa_core::workflow::testing::{CrashPoint, Script, World};
use daa_core::workflow::{FailureCause, Refused, RunOutcome, Step, StepError, Task, Workflow, WorkflowError};
use serde_json::json;

use super::world::Bench;

fn order() -> Workflow {
    let step = |name: &str, kind: &str, undo: &str| {
        let own = format!("${{{name}.id}}");
        Step::action(name.parse().unwrap(), kind.parse().unwrap(), json!({ "order": "${input.order}" }))
            .with_undo(undo.parse().unwrap(), json!({ "id": own }))
    };
    Workflow::new("order".parse().unwrap())
        .with_step(step("book", "book", "unbook"))
        .with_step(step("charge", "charge", "refund").with_after("book".parse().unwrap()))
        .with_step(step("ship", "ship", "recall").with_after("charge".parse().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn what_was_done_is_undone_in_reverse_order() {
    let bench = Bench::new();
    bench.outside.script("book", [Script::succeed(json!({ "id": "b1" }))]);
    bench.outside.script("charge", [Script::succeed(json!({ "id": "c1" }))]);
    bench.outside.script("ship", [Script::reject()]);
    let outcome = bench.run(&order(), json!({ "order": 1 })).await;
    let RunOutcome::RolledBack { cause, left } = outcome else { panic!("{outcome:?}") };
    let FailureCause::Step { task, error } = cause else { panic!("{cause:?}") };
    assert_eq!(task, Task::new("ship".parse().unwrap(), 0));
    assert!(matches!(error, StepError::Executor(text) if text.contains("never")));
    assert_eq!(left, []);
    assert_eq!(bench.outside.log(), ["run-1/book", "run-1/charge", "run-1/charge/undo", "run-1/book/undo"]);
    let effects = bench.outside.effects();
    assert_eq!((&effects[2].params, &effects[3].params), (&json!({ "id": "c1" }), &json!({ "id": "b1" })));
}

#[tokio::test(start_paused = true)]
async fn an_undo_is_tried_until_it_succeeds() {
    let bench = Bench::new();
    bench.outside.script("charge", [Script::reject()]);
    bench.outside.script("unbook", [Script::fail(), Script::fail(), Script::fail(), Script::fail()]);
    let outcome = bench.run(&order(), json!({ "order": 1 })).await;
    let RunOutcome::RolledBack { left, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(left, []);
    assert_eq!(bench.outside.calls("run-1/book/undo"), 5);
    assert_eq!(bench.outside.log(), ["run-1/book", "run-1/book/undo"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_write_leaves_each_effect_once_and_in_order() {
    let fails = |fail: bool| {
        World::new().with_rule(move |action| match action.kind().as_str() {
            "ship" if fail => Script::reject(),
            _ => Script::succeed(json!({ "id": "x" })),
        })
    };
    for fail in [false, true] {
        for point in [CrashPoint::Before, CrashPoint::After] {
            for at in 1.. {
                let first = Bench::new();
                let bench = Bench::on(first.store.clone(), first.clock.clone(), fails(fail), "rules 1");
                bench.store.crash_at(at, point);
                let crashed = {
                    let serving = bench.serve("main");
                    let ran = async {
                        bench.engine.register(order()).await.ok()?;
                        let run = "run-1".parse().unwrap();
                        let start = daa_core::workflow::Start::new(
                            run,
                            "order".parse().unwrap(),
                            super::world::alice(),
                            json!({ "order": 1 }),
                        );
                        bench.engine.start(start).await.ok()?;
                        bench.engine.outcome(&"run-1".parse().unwrap()).await.ok()
                    };
                    let crashed = tokio::select! {
                        done = ran => done.is_none(),
                        () = bench.store.died() => true,
                    };
                    serving.kill();
                    crashed
                };
                if crashed {
                    let again = bench.restart();
                    let outcome = again.run(&order(), json!({ "order": 1 })).await;
                    assert_eq!(matches!(outcome, RunOutcome::Completed { .. }), !fail, "{outcome:?}");
                }
                let expected: &[&str] = if fail {
                    &["run-1/book", "run-1/charge", "run-1/charge/undo", "run-1/book/undo"]
                } else {
                    &["run-1/book", "run-1/charge", "run-1/ship"]
                };
                assert_eq!(bench.outside.log(), expected, "{point:?} append {at}");
                if !crashed {
                    assert!(at > 5);
                    break;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_child_did_is_undone_by_the_child_and_in_its_turn() {
    let bench = Bench::new();
    let id = |id: &str| [Script::succeed(json!({ "id": id }))];
    for kind in ["book", "charge", "a"] {
        bench.outside.script(kind, id(kind));
    }
    bench.outside.script("ship", [Script::reject()]);
    let mut travel = Workflow::new("travel".parse().unwrap());
    travel.steps = order().steps.into_iter().take(2).collect();
    bench.engine.register(travel).await.unwrap();
    let undone = |name: &str, kind: &str, after: Option<&str>| {
        let step = Step::action(name.parse().unwrap(), kind.parse().unwrap(), json!({}))
            .with_undo("recall".parse().unwrap(), json!({}));
        after.into_iter().fold(step, |step, after| step.with_after(after.parse().unwrap()))
    };
    let parent = Workflow::new("parent".parse().unwrap())
        .with_step(undone("first", "a", None))
        .with_step(
            Step::workflow("trip".parse().unwrap(), "travel".parse().unwrap(), json!({ "order": 1 }))
                .with_after("first".parse().unwrap()),
        )
        .with_step(undone("final", "ship", Some("trip")));
    let outcome = bench.run(&parent, json!(null)).await;
    let RunOutcome::RolledBack { left, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(left, []);
    assert_eq!(
        bench.outside.log(),
        [
            "run-1/first",
            "run-1/trip/book",
            "run-1/trip/charge",
            "run-1/trip/charge/undo",
            "run-1/trip/book/undo",
            "run-1/first/undo",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_completed_run_can_be_undone_after_all() {
    let bench = Bench::new();
    let outcome = bench.run(&order(), json!({ "order": 1 })).await;
    assert!(matches!(outcome, RunOutcome::Completed { .. }));
    let run = "run-1".parse().unwrap();
    bench.engine.roll_back(&run, super::world::alice(), "the customer changed their mind").await.unwrap();
    let outcome = bench.run(&order(), json!({ "order": 1 })).await;
    let RunOutcome::RolledBack { cause: FailureCause::Cancelled { .. }, left } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(left, []);
    assert_eq!(bench.outside.log()[3..], ["run-1/ship/undo", "run-1/charge/undo", "run-1/book/undo"]);
    let again = bench.engine.roll_back(&run, super::world::alice(), "again").await;
    assert!(matches!(again, Err(WorkflowError::Refused(Refused::Ended))));
}
