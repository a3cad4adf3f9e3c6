//! A crash at every write, on either side of it, of workflows of every kind; the worker comes back, or another one
//! goes on.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::{Clock, Timestamp, VirtualClock};
use daa_core::event::{EventStore, MemoryEventStore, Position};
use daa_core::id::RunId;
use daa_core::workflow::testing::{CrashPoint, CrashStore, Script, World};
use daa_core::workflow::{
    Answer, Condition, RunEvent, RunOutcome, Step, Template, Wait, WorkerOptions, Workflow, WorkflowEngine,
};
use serde_json::json;

use super::world::{Bench, alice};

struct Flow {
    workflows: Vec<Workflow>,
    completes: bool,
    /// The effects, in order; those that may come in any order are sorted.
    effects: Vec<&'static str>,
    in_order: bool,
}

fn action(name: &str, kind: &str) -> Step {
    Step::action(name.parse().unwrap(), kind.parse().unwrap(), json!({}))
}

fn undone(name: &str, kind: &str) -> Step {
    action(name, kind).with_undo("refund".parse().unwrap(), json!({ "of": format!("${{{name}}}") }))
}

fn after(step: Step, name: &str) -> Step {
    step.with_after(name.parse().unwrap())
}

fn flow(name: &str) -> Workflow {
    Workflow::new(name.parse().unwrap())
}

fn child(fails: bool) -> Flow {
    let inner = flow("inner").with_step(undone("in1", "a"));
    let inner = inner.with_step(after(undone("in2", if fails { "c" } else { "b" }), "in1"));
    let sub = Step::workflow("sub".parse().unwrap(), "inner".parse().unwrap(), json!({}));
    let outer = flow("outer").with_step(undone("one", "a")).with_step(after(sub, "one"));
    let outer = outer.with_step(after(action("two", "b"), "sub"));
    let effects = if fails {
        vec!["r/one", "r/sub/in1", "r/sub/in1/undo", "r/one/undo"]
    } else {
        vec!["r/one", "r/sub/in1", "r/sub/in2", "r/two"]
    };
    Flow { workflows: vec![inner, outer], completes: !fails, effects, in_order: true }
}

fn fan_out(fails: bool) -> Flow {
    let each = undone("each", "a").with_each(json!([1, 2, 3]), NonZeroU32::new(2));
    let outer =
        flow("outer").with_step(each).with_step(after(action("end", if fails { "c" } else { "b" }), "each"));
    let mut effects = vec!["r/each", "r/each.1", "r/each.2"];
    effects.extend(if fails { vec!["r/each.1/undo", "r/each.2/undo", "r/each/undo"] } else { vec!["r/end"] });
    Flow { workflows: vec![outer], completes: !fails, effects, in_order: false }
}

fn repeated() -> Flow {
    let enough = Condition::Ge(Template::new("${index}"), Template::new(2));
    let again = undone("again", "a").with_repeat(enough, NonZeroU32::new(5).unwrap());
    let outer = flow("outer").with_step(again).with_step(after(action("end", "c"), "again"));
    let effects =
        vec!["r/again", "r/again.1", "r/again.2", "r/again.2/undo", "r/again.1/undo", "r/again/undo"];
    Flow { workflows: vec![outer], completes: false, effects, in_order: true }
}

fn approval() -> Flow {
    let ask = Step::approval("ask".parse().unwrap(), json!({ "of": "${one}" }), Duration::from_secs(3600));
    let escalated = after(action("two", "escalate.it"), "ask");
    let outer = flow("outer").with_step(action("one", "a")).with_step(ask).with_step(escalated);
    Flow { workflows: vec![outer], completes: true, effects: vec!["r/one", "r/two"], in_order: true }
}

fn waits() -> Flow {
    let nap = after(Step::sleep("nap".parse().unwrap(), Duration::from_secs(5)), "one");
    let signal = after(Step::signal("go".parse().unwrap(), "go".parse().unwrap()), "nap");
    let outer = flow("outer").with_step(action("one", "a")).with_step(nap).with_step(signal);
    let outer = outer.with_step(after(action("two", "b"), "go"));
    Flow { workflows: vec![outer], completes: true, effects: vec!["r/one", "r/two"], in_order: true }
}

/// The third kind of action is rejected; an undo fails at first, and then loses its answer.
fn outside(clock: &Arc<dyn Clock>) -> World {
    World::new().with_clock(clock.clone()).with_rule(|action| {
        match (action.kind().as_str(), action.attempt()) {
            ("c", _) => Script::reject(),
            ("refund", 1) => Script::fail(),
            ("refund", 2) => Script::lose_answer("refunded"),
            _ => Script::succeed(json!({ "id": action.id().as_str() })),
        }
    })
}

/// Approves what is asked, and sends what is waited for.
async fn people(engine: WorkflowEngine, store: Arc<dyn EventStore>) {
    let mut log = store.subscribe(Position::START).await.unwrap();
    while let Ok(Some(event)) = log.next().await {
        let Some(run) = event.stream.as_str().strip_prefix("workflow/") else { continue };
        let run: RunId = run.parse().unwrap();
        let Ok(Some(RunEvent::Waiting { task, on, .. })) = RunEvent::read(&event) else { continue };
        // Whoever asks again after a crash may have been answered.
        match on {
            Wait::Approval(request) => {
                let _ = engine.answer(&run, Answer::approve(task, request.subject, alice())).await;
            }
            Wait::Signal(signal) => {
                engine.signal(&run, signal, json!(1), Some("once".to_owned())).await.unwrap();
            }
            _ => {}
        }
    }
}

async fn crash(flow: &Flow, at: u64, point: CrashPoint, taken_over: bool) -> bool {
    let place = format!("{point:?} append {at}, taken over: {taken_over}");
    let options = WorkerOptions::default().with_lease(Duration::from_secs(2)).with_clock_skew(Duration::ZERO);
    let memory = Arc::new(MemoryEventStore::new());
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)));
    let outside = outside(&clock);
    let bench = || Bench::on(CrashStore::new(memory.clone()), clock.clone(), outside.clone(), "rules 1");
    let (office, first, second) = (bench(), bench(), bench());
    let people = tokio::spawn(people(office.engine.clone(), memory.clone()));
    first.store.crash_at(at, point);
    for workflow in &flow.workflows {
        office.engine.register(workflow.clone()).await.unwrap();
    }
    let run = office.start("r", flow.workflows.last().unwrap(), json!(null)).await;
    let dying = first.serve_with("first", options);
    clock.sleep(Duration::from_millis(1)).await;
    let living = taken_over.then(|| second.serve_with("second", options));
    let crashed = tokio::select! {
        _ = office.engine.outcome(&run) => false,
        () = first.store.died() => true,
    };
    dying.kill();
    let living = living.unwrap_or_else(|| second.serve_with("first", options));
    let ended = tokio::time::timeout(Duration::from_secs(24 * 3600), office.engine.outcome(&run)).await;
    let outcome = ended.unwrap_or_else(|_| panic!("stranded: {place}")).unwrap();
    assert_eq!(matches!(outcome, RunOutcome::Completed { .. }), flow.completes, "{place}: {outcome:?}");
    let mut effects = outside.log();
    if !flow.in_order {
        effects.sort_by_key(|id| (id.ends_with("/undo"), id.clone()));
    }
    assert_eq!(effects, flow.effects, "{place}");
    people.abort();
    living.stop().await.unwrap();
    crashed
}

async fn crash_everywhere(flow: Flow) {
    for point in [CrashPoint::Before, CrashPoint::After] {
        for taken_over in [false, true] {
            let mut at = 1;
            while crash(&flow, at, point, taken_over).await {
                at += 1;
            }
            assert!(at > 3, "{at} appends are too few to be true");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_run_survives_a_crash_at_every_write() {
    crash_everywhere(child(false)).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_run_that_fails_is_rolled_back_once_through_a_crash_at_every_write() {
    crash_everywhere(child(true)).await;
}

#[tokio::test(start_paused = true)]
async fn a_step_over_a_list_survives_a_crash_at_every_write() {
    crash_everywhere(fan_out(false)).await;
}

#[tokio::test(start_paused = true)]
async fn a_step_over_a_list_is_undone_once_through_a_crash_at_every_write() {
    crash_everywhere(fan_out(true)).await;
}

#[tokio::test(start_paused = true)]
async fn a_loop_is_undone_backwards_through_a_crash_at_every_write() {
    crash_everywhere(repeated()).await;
}

#[tokio::test(start_paused = true)]
async fn approvals_survive_a_crash_at_every_write() {
    crash_everywhere(approval()).await;
}

#[tokio::test(start_paused = true)]
async fn timers_and_signals_survive_a_crash_at_every_write() {
    crash_everywhere(waits()).await;
}
