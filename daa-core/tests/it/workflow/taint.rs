//! Data that nobody vouches for marks what depends on it, and nothing else.

use std::sync::Arc;

use daa_core::action::{Decision, Executors, Gate, Policy, Request, Untrusted, Verdict};
use daa_core::digest::Digest;
use daa_core::event::EventStore;
use daa_core::workflow::testing::{CrashPoint, Script};
use daa_core::workflow::{FailureCause, Retry, RunOutcome, Start, Step, StepError, Workflow, WorkflowEngine};
use serde_json::json;

use super::world::{Bench, action, alice, cause, then, workflow};

/// Nobody pays because a stranger said so.
#[derive(Debug)]
struct Wary;

impl Policy for Wary {
    fn decide(&self, request: &Request<'_>) -> Verdict {
        let sources: Vec<&str> = request.context.sources().map(|source| source.as_str()).collect();
        let decision = match request.action.kind().as_str() {
            "pay" if !sources.is_empty() => {
                Decision::Deny { reason: format!("because of {}", sources.join(", ")) }
            }
            _ => Decision::Permit,
        };
        Verdict::new(decision, Digest::of(b"wary"), Vec::new())
    }
}

fn wary(bench: Bench) -> Bench {
    let store: Arc<dyn EventStore> = bench.store.clone();
    let gate = Gate::builder(store.clone(), bench.clock.clone()).with_policy(Arc::new(Wary)).build();
    let executors = Executors::new()
        .with("mail.read".parse().unwrap(), Untrusted::new(bench.outside.clone(), "mail".parse().unwrap()))
        .with("web.read".parse().unwrap(), Untrusted::new(bench.outside.clone(), "web".parse().unwrap()))
        .with("note".parse().unwrap(), bench.outside.clone())
        .with("pay".parse().unwrap(), bench.outside.clone());
    let engine = WorkflowEngine::builder(store, bench.clock.clone(), gate).with_executors(executors).build();
    Bench { engine, ..bench }
}

fn reason(outcome: RunOutcome) -> String {
    let FailureCause::Step { task, error: StepError::Denied { reason, .. } } = cause(outcome) else {
        panic!("it failed for another reason")
    };
    format!("{task}: {reason}")
}

fn pay(name: &str) -> Step {
    action(name, "pay")
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_an_untrusted_result_is_marked_however_far_behind_it() {
    let flow = workflow("w")
        .with_step(action("read", "mail.read"))
        .with_step(then("note", "note", "read"))
        .with_step(action("look", "web.read"))
        .with_step(then("pay", "pay", "note").with_after("look".parse().unwrap()));
    assert_eq!(reason(wary(Bench::new()).run(&flow, json!({})).await), "pay: because of mail, web");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_depend_on_it_is_not_marked() {
    let flow = workflow("w")
        .with_step(pay("first"))
        .with_step(then("read", "mail.read", "first"))
        .with_step(action("note", "note"))
        .with_step(then("second", "pay", "note"));
    assert!(wary(Bench::new()).run(&flow, json!({})).await.is_completed());
}

#[tokio::test(start_paused = true)]
async fn a_loop_marks_its_own_next_time_and_a_list_its_other_items() {
    let each =
        Step::action("each".parse().unwrap(), "mail.read".parse().unwrap(), json!({ "at": "${item}" }));
    let flow =
        workflow("w").with_step(each.with_each("${input}", None)).with_step(then("pay", "pay", "each"));
    assert_eq!(reason(wary(Bench::new()).run(&flow, json!([1, 2])).await), "pay: because of mail");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_marked_by_what_it_is_given_and_marks_whoever_waits_for_it() {
    let bench = wary(Bench::new());
    let inner = |step: Step| workflow("inner").with_step(step);
    let outer = |step: Step| {
        let inner = Step::workflow("sub".parse().unwrap(), "inner".parse().unwrap(), json!({}));
        workflow("outer").with_step(step).with_step(inner.with_after("first".parse().unwrap()))
    };
    let serving = bench.serve("main");
    // Down: what the outer run has read marks what the inner run does.
    bench.engine.register(inner(pay("pay"))).await.unwrap();
    let run = bench.start("down", &outer(action("first", "mail.read")), json!({})).await;
    let RunOutcome::RolledBack { cause, .. } = bench.engine.outcome(&run).await.unwrap() else { panic!() };
    assert!(cause.to_string().contains("because of mail"), "{cause}");
    // Up: what the inner run has read marks what the outer run does after it.
    bench.engine.register(inner(action("read", "web.read"))).await.unwrap();
    let after = then("pay", "pay", "sub");
    let run = bench.start("up", &outer(action("first", "note")).with_step(after), json!({})).await;
    assert_eq!(reason(bench.engine.outcome(&run).await.unwrap()), "pay: because of web");
    // In: what a stranger starts is marked from the beginning.
    let flow: Workflow = workflow("w").with_step(pay("pay"));
    bench.engine.register(flow.clone()).await.unwrap();
    let start = Start::new("in".parse().unwrap(), flow.name.clone(), alice(), json!({}));
    bench.engine.start(start.with_source("form".parse().unwrap())).await.unwrap();
    let outcome = bench.engine.outcome(&"in".parse().unwrap()).await.unwrap();
    assert_eq!(reason(outcome), "pay: because of form");
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_mark_survives_a_crash_at_every_write() {
    let flow = workflow("w")
        .with_step(action("read", "mail.read"))
        .with_step(then("note", "note", "read"))
        .with_step(then("pay", "pay", "note"));
    for at in 1.. {
        for point in [CrashPoint::Before, CrashPoint::After] {
            let bench = wary(Bench::new());
            bench.store.crash_at(at, point);
            let serving = bench.serve("main");
            let started = bench.engine.register(flow.clone()).await.is_ok()
                && bench
                    .engine
                    .start(Start::new("run".parse().unwrap(), flow.name.clone(), alice(), json!({})))
                    .await
                    .is_ok();
            if started {
                let run = "run".parse().unwrap();
                tokio::select! {
                    _ = bench.engine.outcome(&run) => {}
                    () = bench.store.died() => {}
                }
            }
            serving.kill();
            if !bench.store.is_dead() {
                return;
            }
            let bench = wary(bench.restart());
            let serving = bench.serve("main");
            let run = bench.start("run", &flow, json!({})).await;
            assert_eq!(
                reason(bench.engine.outcome(&run).await.unwrap()),
                "pay: because of mail",
                "{at} {point:?}"
            );
            assert!(!bench.outside.log().iter().any(|id| id.ends_with("/pay")));
            serving.stop().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_tried_again_stays_the_same_action() {
    let bench = wary(Bench::new());
    bench.outside.script("note", [Script::fail()]);
    let note = then("note", "note", "read").with_retry(Retry::times(2));
    let flow = workflow("w").with_step(action("read", "mail.read")).with_step(note);
    assert!(bench.run(&flow, json!({})).await.is_completed());
}
