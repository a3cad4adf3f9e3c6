//! Compensation.

use std::time::Duration;

use daa_core::action::MAX_PARAMS;
use daa_core::workflow::testing::{CrashPoint, Script, World};
use daa_core::workflow::{
    FailureCause, Refused, RunOutcome, Step, StepError, StepStatus, Task, Type, Workflow, WorkflowError,
};
use serde_json::json;

use super::world::{Bench, alice, completed};

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
                            alice(),
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
    bench.engine.roll_back(&run, alice(), "the customer changed their mind").await.unwrap();
    let outcome = bench.run(&order(), json!({ "order": 1 })).await;
    let RunOutcome::RolledBack { cause: FailureCause::Cancelled { .. }, left } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(left, []);
    assert_eq!(bench.outside.log()[3..], ["run-1/ship/undo", "run-1/charge/undo", "run-1/book/undo"]);
    let again = bench.engine.roll_back(&run, alice(), "again").await;
    assert!(matches!(again, Err(WorkflowError::Refused(Refused::Ended))));
}

/// A charge whose receipt has another form than the definition promises.
fn spoilt() -> Workflow {
    let receipt = Type::object([("id", Type::Integer)]);
    let charge = Step::action("charge".parse().unwrap(), "charge".parse().unwrap(), json!({}))
        .with_gives(receipt)
        .with_undo("refund".parse().unwrap(), json!({ "id": "${charge.id}" }));
    Workflow::new("pay".parse().unwrap()).with_step(charge)
}

#[tokio::test(start_paused = true)]
async fn an_output_of_the_wrong_type_is_there_for_the_undo() {
    let bench = Bench::new();
    bench.outside.script("charge", [Script::succeed(json!({ "id": "r-7" }))]);
    bench.outside.script("refund", vec![Script::fail(); 3]);
    let run = bench.start("run-1", &spoilt(), json!(null)).await;
    let serving = bench.serve("main");
    bench.clock.sleep(Duration::from_millis(10)).await;
    serving.kill();
    // Whoever goes on has only the log.
    let bench = bench.restart();
    let serving = bench.serve("main");
    let RunOutcome::RolledBack { cause, left } = bench.engine.outcome(&run).await.unwrap() else { panic!() };
    assert!(matches!(cause, FailureCause::Step { error: StepError::Mismatch(_), .. }), "{cause:?}");
    assert_eq!(left, []);
    assert_eq!(bench.outside.effects()[1].params, json!({ "id": "r-7" }));
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_output_of_the_wrong_type_is_nothing_to_the_steps_behind_it() {
    let bench = Bench::new();
    bench
        .outside
        .script("charge", [Script::succeed(json!({ "id": "r-7" })), Script::succeed(json!({ "id": 8 }))]);
    let mut flow = spoilt();
    let charge = flow.steps.remove(0).with_each("${input}", None).with_failure_allowed();
    let flow = flow.with_step(charge).with_output("${charge}");
    assert_eq!(bench.run(&flow, json!([1, 2])).await, completed(json!([null, { "id": 8 }])));
    let run = "run-1".parse().unwrap();
    bench.engine.roll_back(&run, alice(), "after all").await.unwrap();
    let serving = bench.serve("main");
    let RunOutcome::RolledBack { left, .. } = bench.engine.outcome(&run).await.unwrap() else { panic!() };
    assert_eq!(left, []);
    let undone: Vec<_> =
        bench.outside.effects()[2..].iter().map(|effect| effect.params["id"].clone()).collect();
    assert_eq!(undone, [json!(8), json!("r-7")]);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_wants_an_output_too_large_to_keep_is_left_to_people() {
    let bench = Bench::new();
    let large = json!({ "id": 7, "more": "x".repeat(MAX_PARAMS) });
    bench.outside.script("charge", [Script::succeed(large)]);
    let RunOutcome::RolledBack { left, .. } = bench.run(&spoilt(), json!(null)).await else { panic!() };
    assert_eq!(left, [Task::new("charge".parse().unwrap(), 0)]);
    assert_eq!(bench.outside.log(), ["run-1/charge"], "nothing is refunded by a receipt of null");
}

/// A run in a run in a run. The innermost one does something that nothing undoes, and fails.
async fn nested(bench: &Bench, middle: impl Fn(Step) -> Step) -> RunOutcome {
    let name = |name: &str| name.parse().unwrap();
    bench.outside.script("b", [Script::reject()]);
    let keep = Step::action("keep".parse().unwrap(), "a".parse().unwrap(), json!({}));
    let fail = Step::action("fail".parse().unwrap(), "b".parse().unwrap(), json!({}));
    let inner =
        Workflow::new(name("inner")).with_step(keep).with_step(fail.with_after("keep".parse().unwrap()));
    let child = |name: &str, of: &str| Step::workflow(name.parse().unwrap(), of.parse().unwrap(), json!({}));
    let middle = Workflow::new(name("middle")).with_step(middle(child("down", "inner")));
    let outer = Workflow::new(name("outer")).with_step(child("down", "middle"));
    bench.engine.register(inner).await.unwrap();
    bench.engine.register(middle).await.unwrap();
    bench.run(&outer, json!(null)).await
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_child_could_not_undo_is_named_by_all_above_it() {
    let bench = Bench::new();
    let outcome = nested(&bench, |step| step).await;
    let RunOutcome::RolledBack { cause, left } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(*left, [Task::new("down".parse().unwrap(), 0)]);
    assert!(cause.to_string().contains("not undone: down"), "{cause}");
    let left = |run: &str| {
        let (engine, run) = (bench.engine.clone(), run.parse().unwrap());
        async move {
            match engine.outcome(&run).await.unwrap() {
                RunOutcome::RolledBack { left, .. } => left,
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(left("run-1/down").await, [Task::new("down".parse().unwrap(), 0)]);
    assert_eq!(left("run-1/down/down").await, [Task::new("keep".parse().unwrap(), 0)]);
    let view = bench.engine.view(&"run-1".parse().unwrap()).await.unwrap();
    assert_eq!(view.steps[0].status, StepStatus::NotUndone);
}

#[tokio::test(start_paused = true)]
async fn what_a_child_left_is_named_when_its_failure_was_allowed_and_the_run_is_undone_later() {
    let bench = Bench::new();
    let outcome = nested(&bench, Step::with_failure_allowed).await;
    assert!(outcome.is_completed(), "{outcome:?}");
    let middle = bench.engine.view(&"run-1/down".parse().unwrap()).await.unwrap();
    assert_eq!(middle.steps[0].status, StepStatus::NotUndone);
    let run = "run-1".parse().unwrap();
    bench.engine.roll_back(&run, alice(), "after all").await.unwrap();
    let serving = bench.serve("main");
    let RunOutcome::RolledBack { left, .. } = bench.engine.outcome(&run).await.unwrap() else { panic!() };
    assert_eq!(left, [Task::new("down".parse().unwrap(), 0)]);
    serving.stop().await.unwrap();
}
