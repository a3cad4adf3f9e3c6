//! What engines get wrong when workers die, stand still, lose their store, or know other definitions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{Action, Authorized, ExecuteError, Executor, Executors, Gate, Outcome, Reconciled};
use daa_core::clock::{Clock, Timestamp, VirtualClock};
use daa_core::event::{EventStore, MemoryEventStore};
use daa_core::id::{IdError, RunId};
use daa_core::workflow::testing::{CrashStore, Script, World};
use daa_core::workflow::{
    Incompatible, RegisterError, RunEvent, RunOutcome, Start, Step, StepError, Template, Type, Variable,
    WorkerOptions, Workflow, WorkflowEngine, WorkflowError,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::stores::{Behind, Ice, IcyAnswers, IcyWrites, Storm, Storms};
use super::world::{Bench, ByKind, alice, completed};

const LEASE: Duration = Duration::from_secs(3);

fn short() -> WorkerOptions {
    WorkerOptions::default().with_lease(LEASE).with_clock_skew(Duration::ZERO)
}

fn workflow(name: &str) -> Workflow {
    Workflow::new(name.parse().unwrap())
}

fn action(name: &str, kind: &str) -> Step {
    Step::action(name.parse().unwrap(), kind.parse().unwrap(), json!({}))
}

fn then(name: &str, kind: &str, after: &str) -> Step {
    action(name, kind).with_after(after.parse().unwrap())
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)))
}

/// A bench on a store that everybody shares, behind some weather of its own.
fn bench(store: Arc<dyn EventStore>, clock: &Arc<dyn Clock>, outside: &World) -> Bench {
    Bench::on(CrashStore::new(store), clock.clone(), outside.clone(), "rules 1")
}

async fn outcome(bench: &Bench, run: &RunId) -> RunOutcome {
    let ended = tokio::time::timeout(Duration::from_secs(24 * 3600), bench.engine.outcome(run));
    ended.await.expect("the run ends").unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_worker_frozen_before_it_records_an_outcome_is_fenced_and_the_effect_is_found() {
    let (memory, clock) = (Arc::new(MemoryEventStore::new()), clock());
    let (freeze, ice) = watch::channel(false);
    let freeze = Arc::new(freeze);
    let cold = freeze.clone();
    // It takes effect; from then on the first worker stands still.
    let outside = World::new().with_clock(clock.clone()).with_rule(move |action| {
        cold.send_replace(action.attempt() == 1);
        Script::succeed("done")
    });
    let frozen = bench(Behind::new(Ice(ice), memory.clone()), &clock, &outside);
    let other = bench(memory, &clock, &outside);
    let first = frozen.serve_with("first", short());
    let run = other
        .start("run-1", &workflow("w").with_step(action("one", "a")).with_output("${one}"), json!(1))
        .await;
    clock.sleep(Duration::from_secs(1)).await;
    let second = other.serve_with("second", short());
    assert_eq!(outcome(&other, &run).await, completed("done"));
    assert_eq!(outside.log(), ["run-1/one"]);
    assert_eq!(outside.calls("run-1/one"), 1, "it was reconciled, not repeated");
    assert_eq!(other.engine.metrics().runs_taken_over, 1);
    assert_eq!(frozen.engine.metrics().fenced, 0);
    let history = other.engine.history(&run).await.unwrap();
    freeze.send_replace(false);
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(frozen.engine.metrics().fenced, 1);
    assert_eq!(other.engine.history(&run).await.unwrap(), history, "the late write was refused");
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// Freezes the answers of the store from the moment the action `one` is performed, for two leases, while another
/// worker takes over.
async fn begins_nothing_new(
    steps: Workflow,
    outside: World,
    freeze: watch::Sender<bool>,
    ice: watch::Receiver<bool>,
) {
    let (memory, clock) = (Arc::new(MemoryEventStore::new()), clock());
    let outside = outside.with_clock(clock.clone());
    let frozen = bench(Behind::new(IcyAnswers(ice), memory.clone()), &clock, &outside);
    let other = bench(memory, &clock, &outside);
    let first = frozen.serve_with("first", short());
    let run = other.start("run-1", &steps, json!(1)).await;
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(outside.log(), ["run-1/one"]);
    let second = other.serve_with("second", short());
    clock.sleep(LEASE + LEASE).await;
    freeze.send_replace(false);
    assert_eq!(outcome(&other, &run).await, completed(Value::Null));
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(outside.log(), ["run-1/one", "run-1/two"]);
    assert!(frozen.engine.metrics().fenced > 0);
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_lease_ended_during_an_append_does_not_begin_the_next_step() {
    let (freeze, ice) = watch::channel(false);
    let (cold, calls) = (freeze.clone(), Arc::new(AtomicU32::new(0)));
    let counted = calls.clone();
    let outside = World::new().with_rule(move |action| {
        if action.id().as_str() == "run-1/one" {
            cold.send_replace(true);
        } else {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        Script::succeed(Value::Null)
    });
    let steps = workflow("w").with_step(action("one", "a")).with_step(then("two", "b", "one"));
    begins_nothing_new(steps, outside, freeze, ice).await;
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// The way to the outside from one worker, which stands still from the moment it is told that an action took no effect.
#[derive(Clone)]
struct FreezesWhenAsked(World, watch::Sender<bool>);

#[async_trait]
impl Executor for FreezesWhenAsked {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        self.0.execute(action).await
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        self.1.send_replace(true);
        self.0.reconcile(action).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_lease_ended_while_its_attempt_was_recorded_does_not_call_the_executor() {
    let (memory, clock) = (Arc::new(MemoryEventStore::new()), clock());
    let outside = World::new().with_clock(clock.clone());
    outside.script("a", [Script::hang()]);
    let first = bench(memory.clone(), &clock, &outside);
    let dying = first.serve_with("first", short());
    let run = first.start("run-1", &workflow("w").with_step(action("one", "a")), json!(null)).await;
    clock.sleep(Duration::from_secs(1)).await;
    dying.kill();
    // The second takes over, asks, and stands still while its own attempt becomes durable.
    let (freeze, ice) = watch::channel(false);
    let store: Arc<dyn EventStore> = Behind::new(IcyAnswers(ice), memory.clone());
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(ByKind("rules 1"))).build();
    let way = FreezesWhenAsked(outside.clone(), freeze.clone());
    let second =
        WorkflowEngine::builder(store, clock.clone(), gate).with_executor("a".parse().unwrap(), way).build();
    let (trigger, shutdown) = daa_core::shutdown::ShutdownTrigger::new();
    let serve = second.clone();
    let frozen = tokio::spawn(async move { serve.serve("second".parse().unwrap(), short(), shutdown).await });
    clock.sleep(LEASE + LEASE).await;
    assert!(*freeze.borrow());
    let third = bench(memory, &clock, &outside);
    let living = third.serve_with("third", short());
    assert_eq!(outcome(&third, &run).await, completed(Value::Null));
    freeze.send_replace(false);
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(outside.log(), ["run-1/one"]);
    assert_eq!(outside.calls("run-1/one"), 2, "by the first and the third");
    assert!(second.metrics().fenced > 0);
    living.stop().await.unwrap();
    trigger.trigger();
    frozen.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_frozen_does_not_take_the_living_for_dead() {
    let (memory, clock) = (Arc::new(MemoryEventStore::new()), clock());
    let (freeze, ice) = watch::channel(false);
    let outside = World::new().with_clock(clock.clone());
    outside.script("a", [Script::succeed("done").after(Duration::from_secs(60))]);
    let living = bench(memory.clone(), &clock, &outside);
    let frozen = bench(Behind::new(Ice(ice), memory), &clock, &outside);
    let first = living.serve_with("first", short());
    let second = frozen.serve_with("second", short());
    let run = living
        .start("run-1", &workflow("w").with_step(action("one", "a")).with_output("${one}"), json!(1))
        .await;
    clock.sleep(Duration::from_secs(1)).await;
    // It knows of the lease as it was then, and not that it was renewed since.
    freeze.send_replace(true);
    clock.sleep(LEASE * 5).await;
    freeze.send_replace(false);
    assert_eq!(outcome(&living, &run).await, completed("done"));
    assert_eq!(outside.calls("run-1/one"), 1);
    assert_eq!((frozen.engine.metrics().runs_taken_over, living.engine.metrics().fenced), (0, 0));
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// An outside that knows fencing tokens: the attempt that was issued last wins.
#[derive(Clone, Default)]
struct Fencing {
    state: Arc<std::sync::Mutex<(u32, Vec<u32>)>>,
    clock: Option<Arc<dyn Clock>>,
}

#[async_trait]
impl Executor for Fencing {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let highest = {
            let mut state = self.state.lock().unwrap();
            state.0 = state.0.max(action.attempt());
            action.attempt()
        };
        // The first attempt takes longer than any lease lasts.
        let latency = Duration::from_secs(if highest == 1 { 60 } else { 1 });
        self.clock.as_ref().unwrap().sleep(latency).await;
        let mut state = self.state.lock().unwrap();
        if state.0 > action.attempt() {
            return Err(ExecuteError::rejected("a later attempt was issued"));
        }
        state.1.push(action.attempt());
        Ok(Outcome::new(action.attempt()))
    }

    async fn reconcile(&self, _: &Action) -> Result<Reconciled, ExecuteError> {
        Ok(match self.state.lock().unwrap().1.first() {
            Some(&attempt) => Reconciled::Completed(Outcome::new(attempt)),
            None => Reconciled::NotFound,
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_in_the_middle_of_a_step_is_fenced_by_the_attempt() {
    let (memory, clock) = (Arc::new(MemoryEventStore::new()), clock());
    let (freeze, ice) = watch::channel(false);
    let outside = Fencing { clock: Some(clock.clone()), ..Fencing::default() };
    let engine = |store: Arc<dyn EventStore>| {
        let gate =
            Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(ByKind("rules 1"))).build();
        let executors = Executors::new().with("a".parse().unwrap(), outside.clone());
        WorkflowEngine::builder(store, clock.clone(), gate).with_executors(executors).build()
    };
    let (first, second) = (engine(Behind::new(Ice(ice), memory.clone())), engine(memory));
    first.register(workflow("w").with_step(action("one", "a")).with_output("${one}")).await.unwrap();
    let run: RunId = "run-1".parse().unwrap();
    first.start(Start::new(run.clone(), "w".parse().unwrap(), alice(), json!(null))).await.unwrap();
    let serve = |engine: &WorkflowEngine, name: &str| {
        let (trigger, shutdown) = daa_core::shutdown::ShutdownTrigger::new();
        let (engine, name) = (engine.clone(), name.parse().unwrap());
        (trigger, tokio::spawn(async move { engine.serve(name, short(), shutdown).await }))
    };
    let one = serve(&first, "first");
    clock.sleep(Duration::from_secs(1)).await;
    freeze.send_replace(true);
    let two = serve(&second, "second");
    let ended = tokio::time::timeout(Duration::from_secs(3600), second.outcome(&run)).await;
    assert_eq!(ended.expect("the run ends").unwrap(), completed(2));
    // The first attempt comes to its end behind the ice, and is late.
    clock.sleep(Duration::from_secs(100)).await;
    freeze.send_replace(false);
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(outside.state.lock().unwrap().1, [2]);
    assert_eq!(first.metrics().fenced, 1);
    for (trigger, task) in [one, two] {
        trigger.trigger();
        task.await.unwrap().unwrap();
    }
}

/// A clock that is ahead of the others.
#[derive(Debug)]
struct Ahead(Arc<dyn Clock>, Duration);

#[async_trait]
impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.0.now() + self.1
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        self.0.sleep_until(Timestamp::from_millis(deadline.as_millis() - self.1.as_millis() as u64)).await;
    }
}

async fn taken_over_by_one_that_is_ahead(by: Duration, skew: Duration) -> u64 {
    let (memory, clock) = (Arc::new(MemoryEventStore::new()), clock());
    let outside = World::new().with_clock(clock.clone());
    outside.script("a", [Script::succeed(1).after(Duration::from_secs(60))]);
    let on_time = bench(memory.clone(), &clock, &outside);
    let fast: Arc<dyn Clock> = Arc::new(Ahead(clock.clone(), by));
    let ahead = bench(memory, &fast, &outside);
    let first = on_time.serve_with("first", short().with_clock_skew(skew));
    let run = on_time.start("run-1", &workflow("w").with_step(action("one", "a")), json!(null)).await;
    clock.sleep(Duration::from_millis(100)).await;
    let second = ahead.serve_with("second", short().with_clock_skew(skew));
    clock.sleep(Duration::from_secs(100)).await;
    assert!(on_time.engine.view(&run).await.unwrap().outcome().is_some());
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    ahead.engine.metrics().runs_taken_over
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_run_learns_that_another_worker_ended_it() {
    let (memory, clock) = (Arc::new(MemoryEventStore::new()), clock());
    let (freeze, ice) = watch::channel(false);
    let outside = World::new().with_clock(clock.clone());
    outside.script("a", [Script::succeed("done").after(Duration::from_secs(2))]);
    let slow = bench(Behind::new(IcyWrites(ice), memory.clone()), &clock, &outside);
    let fast: Arc<dyn Clock> = Arc::new(Ahead(clock.clone(), Duration::from_secs(3600)));
    let ahead = bench(memory, &fast, &outside);
    let first = slow.serve_with("first", WorkerOptions::default().with_lease(Duration::from_secs(60)));
    let steps = workflow("w").with_step(action("one", "a")).with_output("${one}");
    let run = ahead.start("run-1", &steps, json!(1)).await;
    let engine = slow.engine.clone();
    let waiting = tokio::spawn(async move { engine.outcome(&run).await.unwrap() });
    clock.sleep(Duration::from_secs(1)).await;
    // The first worker cannot write that the step is done, and sees in the log that the second one has ended the run.
    freeze.send_replace(true);
    clock.sleep(Duration::from_secs(2)).await;
    let second = ahead.serve_with("second", short());
    clock.sleep(Duration::from_secs(10)).await;
    assert_eq!(ahead.engine.metrics().runs_taken_over, 1);
    freeze.send_replace(false);
    // While the second one lives, too.
    let told = tokio::time::timeout(Duration::from_secs(600), waiting).await;
    assert_eq!(told.expect("whoever waits is told").unwrap(), completed("done"));
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_clock_is_ahead_leaves_the_runs_of_the_living_alone() {
    let secs = Duration::from_secs;
    assert_eq!(taken_over_by_one_that_is_ahead(secs(4), secs(4)).await, 0);
    // What the allowance is for: without it, that clock takes the living for dead.
    assert_eq!(taken_over_by_one_that_is_ahead(secs(4), secs(0)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_while_is_waited_for() {
    for storm in [Storm::Requests, Storm::Answers] {
        let (memory, clock) = (Arc::new(MemoryEventStore::new()), clock());
        let (storms, sky) = watch::channel(Storm::None);
        let outside = World::new().with_clock(clock.clone());
        outside.script("a", [Script::succeed(1).after(Duration::from_secs(5))]);
        let calm = bench(memory.clone(), &clock, &outside);
        let stormy = bench(Behind::new(Storms(sky), memory), &clock, &outside);
        let serving = stormy.serve_with("main", short());
        let two = workflow("w")
            .with_step(action("one", "a"))
            .with_step(then("two", "b", "one"))
            .with_output("${two}");
        let run = calm.start("run-1", &two, json!(null)).await;
        clock.sleep(Duration::from_secs(4)).await;
        storms.send_replace(storm);
        let other = calm.start("run-2", &two, json!(null)).await;
        clock.sleep(Duration::from_secs(20)).await;
        storms.send_replace(Storm::None);
        assert_eq!(outcome(&calm, &run).await, completed(Value::Null), "{storm:?}");
        assert_eq!(outcome(&calm, &other).await, completed(Value::Null), "{storm:?}");
        assert_eq!(outside.repeated(), []);
        assert_eq!(outside.log().len(), 4);
        // The same worker, in the same life.
        serving.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_at_the_start_is_an_error_of_the_start() {
    let (memory, clock) = (Arc::new(MemoryEventStore::new()), clock());
    let (_storms, sky) = watch::channel(Storm::Requests);
    let bench = bench(Behind::new(Storms(sky), memory), &clock, &World::new());
    let error = bench.serve("main").stop().await.unwrap_err();
    assert!(matches!(error, WorkflowError::Read(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_used_again_replaces_the_earlier_life() {
    let (memory, clock) = (Arc::new(MemoryEventStore::new()), clock());
    let outside = World::new().with_clock(clock.clone());
    outside.script("a", [Script::succeed(1).after(Duration::from_secs(60))]);
    let (one, two) = (bench(memory.clone(), &clock, &outside), bench(memory, &clock, &outside));
    let first = one.serve_with("main", short());
    let run = one.start("run-1", &workflow("w").with_step(action("one", "a")), json!(null)).await;
    clock.sleep(Duration::from_millis(100)).await;
    let second = two.serve_with("main", short());
    assert_eq!(outcome(&two, &run).await, completed(Value::Null));
    clock.sleep(LEASE).await;
    let error = first.stop().await.unwrap_err();
    assert!(matches!(error, WorkflowError::Replaced { ours: 1, theirs: 2, .. }), "{error:?}");
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_room_is_not_forgotten_when_its_worker_dies() {
    let (memory, clock) = (Arc::new(MemoryEventStore::new()), clock());
    let outside = World::new().with_clock(clock.clone());
    outside.script("run-1/one", [Script::succeed(1).after(Duration::from_secs(2))]);
    let (one, two) = (bench(memory.clone(), &clock, &outside), bench(memory, &clock, &outside));
    let limit = daa_core::workflow::Limit::at_once("key", std::num::NonZeroU32::MIN);
    let flow = workflow("w").with_step(action("one", "a").with_limit(limit));
    let first = one.serve_with("first", short());
    let holder = one.start("run-1", &flow, json!(null)).await;
    let waiter = one.start("run-2", &flow, json!(null)).await;
    let second = two.serve_with("second", short());
    outcome(&two, &holder).await;
    // The place is free, the one that waits for it belongs to a worker that is gone.
    first.kill();
    assert_eq!(outcome(&two, &waiter).await, completed(Value::Null));
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_child_that_cannot_be_started_fails_its_step() {
    let bench = Bench::new();
    let step = || Step::workflow("sub".parse().unwrap(), "nobody".parse().unwrap(), json!({}));
    let outcome = bench.run(&workflow("w").with_step(step()), json!(null)).await;
    let RunOutcome::RolledBack { cause, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(cause.to_string(), "step sub failed: the other run failed: no workflow nobody is registered");

    let bench = Bench::new();
    let child =
        workflow("nobody").with_input(Type::object([("n", Type::Integer)])).with_step(action("one", "a"));
    bench.engine.register(child).await.unwrap();
    let flow = workflow("w").with_step(step().with_failure_allowed()).with_step(then("on", "b", "sub"));
    assert_eq!(bench.run(&flow, json!(null)).await, completed(Value::Null));
    assert_eq!(bench.outside.log(), ["run-1/on"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_whose_id_has_no_room_fails_its_step() {
    let long = "x".repeat(60);
    let bench = Bench::new();
    let inner = workflow("inner").with_step(action("one", "a"));
    bench.engine.register(inner).await.unwrap();
    let middle = |to: &str| Step::workflow(long.parse().unwrap(), to.parse().unwrap(), json!({}));
    bench.engine.register(workflow("middle").with_step(middle("inner"))).await.unwrap();
    let serving = bench.serve("main");
    let outer = workflow("outer").with_step(middle("middle"));
    let run = bench.start(&"r".repeat(100), &outer, json!(null)).await;
    let outcome = outcome(&bench, &run).await;
    assert!(matches!(&outcome, RunOutcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(bench.outside.log(), [""; 0]);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_never_answers_is_tried_again() {
    let bench = Bench::new();
    bench.outside.script("b", [Script::reject()]);
    bench.outside.script("refund", [Script::hang(), Script::succeed(Value::Null)]);
    let one = action("one", "a")
        .with_undo("refund".parse().unwrap(), json!({}))
        .with_try_timeout(Duration::from_secs(10));
    let flow = workflow("w").with_step(one).with_step(then("two", "b", "one"));
    let serving = bench.serve("main");
    let run = bench.start("run-1", &flow, json!(null)).await;
    let RunOutcome::RolledBack { left, .. } = outcome(&bench, &run).await else { panic!() };
    assert_eq!(left, []);
    assert_eq!(bench.outside.log(), ["run-1/one", "run-1/one/undo"]);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_child_that_takes_longer_than_its_step_may_is_cancelled() {
    let bench = Bench::new();
    let child = workflow("child")
        .with_step(action("one", "a").with_undo("refund".parse().unwrap(), json!({})))
        .with_step(
            Step::signal("wait".parse().unwrap(), "go".parse().unwrap()).with_after("one".parse().unwrap()),
        );
    bench.engine.register(child).await.unwrap();
    let sub = Step::workflow("sub".parse().unwrap(), "child".parse().unwrap(), json!({}));
    let serving = bench.serve("main");
    let flow = workflow("w").with_step(sub.with_deadline(Duration::from_secs(10)));
    let run = bench.start("run-1", &flow, json!(null)).await;
    let outcome = outcome(&bench, &run).await;
    assert!(matches!(outcome, RunOutcome::RolledBack { .. }));
    assert_eq!(bench.outside.log(), ["run-1/sub/one", "run-1/sub/one/undo"]);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_id_starts_one_run() {
    assert_eq!("".parse::<RunId>(), Err(IdError::Empty));
    assert!(serde_json::from_value::<RunId>(json!("")).is_err());
    let bench = Bench::new();
    let flow = workflow("w").with_step(action("one", "a"));
    let run = bench.start("run-1", &flow, json!({ "n": 1 })).await;
    let start = |input| Start::new(run.clone(), "w".parse().unwrap(), alice(), input);
    bench.engine.start(start(json!({ "n": 1 }))).await.unwrap();
    let error = bench.engine.start(start(json!({ "n": 2 }))).await.unwrap_err();
    assert!(matches!(error, WorkflowError::RunExists { run: other } if other == run));
    let mallory =
        Start::new(run.clone(), "w".parse().unwrap(), "mallory".parse().unwrap(), json!({ "n": 1 }));
    let error = bench.engine.start(mallory).await.unwrap_err();
    assert!(matches!(error, WorkflowError::RunExists { .. }));
    let serving = bench.serve("main");
    outcome(&bench, &run).await;
    // Also when it has long ended.
    bench.engine.start(start(json!({ "n": 1 }))).await.unwrap();
    assert_eq!(bench.outside.log(), ["run-1/one"]);
    assert_eq!(bench.engine.metrics().runs_started, 1);
    serving.stop().await.unwrap();
}

fn version(number: u64) -> Workflow {
    let wait = Step::signal("wait".parse().unwrap(), "go".parse().unwrap());
    workflow("w").with_step(wait).with_step(then("one", "a", "wait")).with_output(json!(number))
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_leaves_running_runs_with_their_definition() {
    let bench = Bench::new();
    let old = bench.start("old", &version(1), json!(null)).await;
    let new = bench.start("new", &version(2), json!(null)).await;
    assert_eq!(bench.engine.definition(&old).await.unwrap(), version(1));
    // A process that never heard of the first version.
    let again = bench.restart();
    again.engine.register(version(2)).await.unwrap();
    let serving = again.serve("main");
    for run in [&old, &new] {
        again.engine.signal(run, "go".parse().unwrap(), json!(null), None).await.unwrap();
    }
    assert_eq!(outcome(&again, &old).await, completed(1));
    assert_eq!(outcome(&again, &new).await, completed(2));
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_version_that_an_engine_registered_last_is_the_one_it_starts() {
    let bench = Bench::new();
    for number in [1, 2, 1] {
        bench.engine.register(version(number)).await.unwrap();
    }
    // The worker reads of the second version after the first was registered again.
    let serving = bench.serve("main");
    bench.clock.sleep(Duration::from_secs(1)).await;
    let run: RunId = "run-1".parse().unwrap();
    bench.engine.start(Start::new(run.clone(), "w".parse().unwrap(), alice(), json!(null))).await.unwrap();
    assert_eq!(bench.engine.definition(&run).await.unwrap(), version(1));
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_moves_to_a_compatible_version_and_to_no_other() {
    let bench = Bench::new();
    let serving = bench.serve("main");
    let run = bench.start("run-1", &version(1), json!(null)).await;
    bench.clock.sleep(Duration::from_secs(1)).await;
    let before = bench.engine.view(&run).await.unwrap();
    let without = workflow("w").with_step(action("one", "a"));
    let error = bench.engine.migrate(&run, without).await.unwrap_err();
    let RegisterError::Incompatible(Incompatible::StepGone { step }) = error else { panic!("{error:?}") };
    assert_eq!(step.as_str(), "wait");
    let other = Workflow::new("other".parse().unwrap()).with_step(action("one", "a"));
    let error = bench.engine.migrate(&run, other).await.unwrap_err();
    assert!(matches!(error, RegisterError::Incompatible(Incompatible::Workflow { .. })), "{error:?}");
    let error = bench.engine.migrate(&run, workflow("w")).await.unwrap_err();
    assert!(matches!(error, RegisterError::Definition(_)), "{error:?}");
    assert_eq!(bench.engine.view(&run).await.unwrap(), before, "the run is as it was");

    let grown = version(7)
        .with_step(then("more", "b", "one"))
        .with_var("fresh", Variable::new(Type::Integer, 5))
        .with_output(Template::new(json!({ "fresh": "${vars.fresh}" })));
    bench.engine.migrate(&run, grown.clone()).await.unwrap();
    bench.engine.migrate(&run, grown.clone()).await.unwrap();
    assert_eq!(bench.engine.definition(&run).await.unwrap(), grown);
    bench.engine.signal(&run, "go".parse().unwrap(), json!(null), None).await.unwrap();
    assert_eq!(outcome(&bench, &run).await, completed(json!({ "fresh": 5 })));
    assert_eq!(bench.outside.log(), ["run-1/one", "run-1/more"]);
    let migrated =
        |entry: &&daa_core::workflow::HistoryEntry| matches!(entry.event, RunEvent::Migrated { .. });
    assert_eq!(bench.engine.history(&run).await.unwrap().iter().filter(migrated).count(), 1);
    let error = bench.engine.migrate(&run, version(1)).await.unwrap_err();
    assert!(
        matches!(error, RegisterError::Workflow(WorkflowError::Refused(daa_core::workflow::Refused::Ended))),
        "{error:?}"
    );
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_panics_fails_its_step_and_nobody_else() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::ending(daa_core::workflow::testing::Ending::Panic)]);
    let flow =
        workflow("w").with_step(action("one", "a").with_failure_allowed()).with_step(then("two", "b", "one"));
    assert_eq!(bench.run(&flow, json!(null)).await, completed(Value::Null));
    assert_eq!(bench.outside.log(), ["run-1/two"]);
    let view = bench.engine.view(&"run-1".parse().unwrap()).await.unwrap();
    let failed = &view.step(&"one".parse().unwrap()).unwrap().status;
    assert!(
        matches!(failed, daa_core::workflow::StepStatus::Failed(StepError::Executor(text)) if text.contains("panicked")),
        "{failed:?}"
    );
}
