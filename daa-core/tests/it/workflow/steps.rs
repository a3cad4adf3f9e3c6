//! Kinds of steps, and how they follow each other.

use std::num::NonZeroU32;
use std::time::Duration;

use daa_core::action::ActionEvent;
use daa_core::event::{EventStore, PageSize, Position};
use daa_core::workflow::testing::Script;
use daa_core::workflow::{
    Condition, FailureCause, Retry, RunOutcome, Start, Step, StepError, Template, TraceContext, Workflow,
};
use serde_json::json;

use super::world::{Bench, alice, completed};

fn workflow(name: &str) -> Workflow {
    Workflow::new(name.parse().unwrap())
}

fn action(name: &str, kind: &str, with: serde_json::Value) -> Step {
    Step::action(name.parse().unwrap(), kind.parse().unwrap(), with)
}

#[tokio::test(start_paused = true)]
async fn steps_follow_their_dependencies_and_hand_on_their_outputs() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::succeed(json!({ "n": 7 }))]);
    bench.outside.script("b", [Script::succeed("done")]);
    let flow = workflow("chain")
        .with_step(action("second", "b", json!({ "n": "${first.n}", "text": "n is ${first.n}" })))
        .with_step(action("first", "a", json!({ "x": "${input.x}" })))
        .with_output(json!({ "first": "${first.n}", "second": "${second}" }));
    let outcome = bench.run(&flow, json!({ "x": 1 })).await;
    assert_eq!(outcome, completed(json!({ "first": 7, "second": "done" })));
    assert_eq!(bench.outside.log(), ["run-1/first", "run-1/second"]);
    let effects = bench.outside.effects();
    assert_eq!(effects[0].params, json!({ "x": 1 }));
    assert_eq!(effects[1].params, json!({ "n": 7, "text": "n is 7" }));
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_condition_does_not_hold_is_skipped() {
    let bench = Bench::new();
    let flow = workflow("maybe")
        .with_step(
            action("big", "a", json!({}))
                .with_when(Condition::Gt(Template::new("${input.n}"), Template::new(10))),
        )
        .with_step(action("after", "b", json!({ "big": "${big}" })));
    bench.run(&flow, json!({ "n": 3 })).await;
    assert_eq!(bench.outside.log(), ["run-1/after"]);
    assert_eq!(bench.outside.effects()[0].params, json!({ "big": null }));
}

#[tokio::test(start_paused = true)]
async fn a_step_over_a_list_is_done_for_each_item_a_few_at_a_time() {
    let bench = Bench::new();
    let flow = workflow("fan")
        .with_step(
            action("each", "a", json!({ "item": "${item}", "at": "${index}" }))
                .with_each("${input.items}", NonZeroU32::new(2)),
        )
        .with_output("${each}");
    for n in 0..5 {
        let id = if n == 0 { "run-1/each".to_owned() } else { format!("run-1/each.{n}") };
        bench.outside.script(&id, [Script::succeed(n * 10).after(Duration::from_secs(1))]);
    }
    let before = bench.clock.now();
    let outcome = bench.run(&flow, json!({ "items": ["a", "b", "c", "d", "e"] })).await;
    assert_eq!(outcome, completed(json!([0, 10, 20, 30, 40])));
    // Five items, two at a time, a second each.
    assert_eq!(bench.clock.now().since(before).as_secs(), 3);
    assert_eq!(bench.outside.effects()[4].params, json!({ "item": "e", "at": 4 }));
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_done_at_once() {
    let bench = Bench::new();
    let flow = workflow("fan")
        .with_step(action("each", "a", json!({})).with_each("${input}", None))
        .with_output("${each}");
    assert_eq!(bench.run(&flow, json!([])).await, completed(json!([])));
}

#[tokio::test(start_paused = true)]
async fn a_loop_ends_when_its_condition_holds_or_fails_at_its_bound() {
    let step = || {
        action("again", "a", json!({ "last": "${last}", "n": "${index}" })).with_repeat(
            Condition::Eq(Template::new("${last}"), Template::new("enough")),
            NonZeroU32::new(4).unwrap(),
        )
    };
    let flow = workflow("loop").with_step(step()).with_output("${again}");
    let bench = Bench::new();
    bench.outside.script("a", [Script::succeed(1), Script::succeed(2), Script::succeed("enough")]);
    assert_eq!(bench.run(&flow, json!(null)).await, completed("enough"));
    assert_eq!(bench.outside.effects()[2].params, json!({ "last": 2, "n": 2 }));

    let bench = Bench::new();
    let outcome = bench.run(&flow, json!(null)).await;
    let RunOutcome::RolledBack { cause: FailureCause::Step { error, .. }, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(error, StepError::Endless { times: 4 });
}

#[tokio::test(start_paused = true)]
async fn a_failed_try_is_repeated_under_the_same_key_with_growing_waits() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::fail(), Script::fail(), Script::succeed("third")]);
    let retry = Retry::times(3).with_jitter(0.0).with_waits(Duration::from_secs(1), Duration::from_secs(60));
    let flow =
        workflow("retry").with_step(action("try", "a", json!({})).with_retry(retry)).with_output("${try}");
    let before = bench.clock.now();
    assert_eq!(bench.run(&flow, json!(null)).await, completed("third"));
    assert_eq!(bench.clock.now().since(before).as_secs(), 3);
    assert_eq!(bench.outside.calls("run-1/try"), 3);
    assert_eq!(bench.outside.effects()[0].attempt, 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_found_again() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::lose_answer("was there")]);
    let flow = workflow("lost").with_step(action("try", "a", json!({}))).with_output("${try}");
    assert_eq!(bench.run(&flow, json!(null)).await, completed("was there"));
    assert_eq!(bench.outside.log(), ["run-1/try"]);
}

#[tokio::test(start_paused = true)]
async fn a_timer_wakes_the_run_and_a_day_costs_nothing() {
    let bench = Bench::new();
    let day = Duration::from_secs(24 * 3600);
    let flow = workflow("sleep")
        .with_step(Step::sleep("nap".parse().unwrap(), day))
        .with_step(action("then", "a", json!({})).with_after("nap".parse().unwrap()));
    let before = bench.clock.now();
    bench.run(&flow, json!(null)).await;
    let passed = bench.clock.now().since(before);
    assert!(passed >= day && passed < day + Duration::from_secs(20), "{passed:?}");
    assert_eq!(bench.outside.log(), ["run-1/then"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_run_does_a_step() {
    let bench = Bench::new();
    bench.outside.script("b", [Script::succeed(42)]);
    let child =
        workflow("child").with_step(action("b", "b", json!({ "n": "${input.n}" }))).with_output("${b}");
    bench.engine.register(child).await.unwrap();
    let parent = workflow("parent")
        .with_step(Step::workflow("sub".parse().unwrap(), "child".parse().unwrap(), json!({ "n": 1 })))
        .with_output("${sub}");
    assert_eq!(bench.run(&parent, json!(null)).await, completed(42));
    assert_eq!(bench.outside.log(), ["run-1/sub/b"]);
}

#[tokio::test(start_paused = true)]
async fn every_decision_of_a_traced_run_names_its_trace_and_a_span_of_its_own() {
    let bench = Bench::new();
    let trace: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    bench.engine.register(workflow("child").with_step(action("b", "b", json!({})))).await.unwrap();
    let parent = workflow("parent").with_step(action("a", "a", json!({}))).with_step(Step::workflow(
        "sub".parse().unwrap(),
        "child".parse().unwrap(),
        json!({}),
    ));
    bench.engine.register(parent.clone()).await.unwrap();
    let start = Start::new("traced".parse().unwrap(), parent.name.clone(), alice(), json!({}));
    bench.engine.start(start.with_trace(trace.clone())).await.unwrap();
    bench.engine.start(Start::new("bare".parse().unwrap(), parent.name, alice(), json!({}))).await.unwrap();
    let serving = bench.serve("main");
    for run in ["traced", "bare"] {
        assert!(bench.engine.outcome(&run.parse().unwrap()).await.unwrap().is_completed());
    }
    serving.stop().await.unwrap();
    let (mut spans, mut bare) = (vec![trace.span_id()], 0);
    for event in bench.store.read_all(Position::START, PageSize::default()).await.unwrap() {
        let Ok(Some(ActionEvent::Permitted { action, context, .. })) = ActionEvent::read(&event) else {
            continue;
        };
        let Some(found) = context.trace() else {
            assert!(action.id().as_str().starts_with("bare"));
            bare += 1;
            continue;
        };
        assert_eq!(found.trace_id(), trace.trace_id());
        assert!(!spans.contains(&found.span_id()), "{}", action.id());
        spans.push(found.span_id());
    }
    assert_eq!((spans.len(), bare), (3, 2));
}
