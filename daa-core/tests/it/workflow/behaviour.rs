//! What runs do when they are limited, watched, timed and spoken to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{Action, Authorized, ExecuteError, Executor, Executors, Gate, Outcome, Reconciled};
use daa_core::clock::{Clock, Timestamp, VirtualClock};
use daa_core::event::{EventStore, MemoryEventStore, ReadError, Version};
use daa_core::id::RunId;
use daa_core::workflow::testing::{CrashStore, Script, World};
use daa_core::workflow::{
    Condition, FailureCause, Limit, Rate, Retry, RunEvent, RunOutcome, Start, Step, StepError, Template,
    Type, Undo, Variable, WorkerOptions, Workflow, WorkflowEngine, WorkflowError,
};
use serde_json::{Value, json};

use super::world::{Bench, ByKind, action, alice, cause, completed, number, outcome, secs, then, workflow};

#[tokio::test(start_paused = true)]
async fn the_more_important_run_is_performed_first() {
    let bench = Bench::new();
    let flow = workflow("w").with_step(action("one", "a"));
    bench.engine.register(flow).await.unwrap();
    for (run, priority) in [("low", -5), ("normal-1", 0), ("high", 9), ("normal-2", 0)] {
        let start = Start::new(run.parse().unwrap(), "w".parse().unwrap(), alice(), json!(null));
        bench.engine.start(start.with_priority(priority)).await.unwrap();
    }
    let serving = bench.serve_with("main", WorkerOptions::default().with_runs_at_once(1));
    outcome(&bench.engine, &"low".parse().unwrap()).await;
    assert_eq!(bench.outside.log(), ["high/one", "normal-1/one", "normal-2/one", "low/one"]);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_more_important_run_is_undone_first() {
    let bench = Bench::new();
    let step = action("one", "book").with_undo("unbook".parse().unwrap(), json!({}));
    bench.engine.register(workflow("w").with_step(step)).await.unwrap();
    let serving = bench.serve("main");
    let runs: [RunId; 2] = ["a-low".parse().unwrap(), "z-high".parse().unwrap()];
    for (run, priority) in runs.iter().zip([-5, 9]) {
        let start = Start::new(run.clone(), "w".parse().unwrap(), alice(), json!(null));
        bench.engine.start(start.with_priority(priority)).await.unwrap();
        assert!(outcome(&bench.engine, run).await.is_completed());
    }
    serving.stop().await.unwrap();
    for run in &runs {
        bench.engine.roll_back(run, alice(), "after all").await.unwrap();
    }
    let serving = bench.serve_with("main", WorkerOptions::default().with_runs_at_once(1));
    for run in &runs {
        assert!(!outcome(&bench.engine, run).await.is_completed());
    }
    assert_eq!(bench.outside.log()[2..], ["z-high/one/undo", "a-low/one/undo"]);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_store_was_closed_says_so() {
    let bench = Bench::new();
    let serving = bench.serve("main");
    bench.clock.sleep(secs(1)).await;
    bench.store.close().await;
    let ended = tokio::time::timeout(secs(60), serving.ended()).await.unwrap();
    assert!(matches!(ended, Err(WorkflowError::Read(ReadError::Closed))), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_may_be_as_long_as_one_likes() {
    let bench = Bench::new();
    let options = WorkerOptions::default().with_lease(Duration::MAX).with_clock_skew(Duration::MAX);
    let serving = bench.serve_with("main", options);
    let run = bench.start("run-1", &workflow("w").with_step(action("one", "a")), json!(null)).await;
    assert!(outcome(&bench.engine, &run).await.is_completed());
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn room_under_a_limit_goes_to_the_more_important_run() {
    let bench = Bench::new();
    for _ in 0..3 {
        bench.outside.script("a", [Script::succeed(1).after(secs(5))]);
    }
    let flow = workflow("w").with_limit(Limit::at_once("all", number(1))).with_step(action("one", "a"));
    bench.engine.register(flow).await.unwrap();
    let serving = bench.serve("main");
    for (run, priority) in [("first", 0), ("low", -1), ("high", 1)] {
        let start = Start::new(run.parse().unwrap(), "w".parse().unwrap(), alice(), json!(null));
        bench.engine.start(start.with_priority(priority)).await.unwrap();
        bench.clock.sleep(Duration::from_millis(10)).await;
    }
    outcome(&bench.engine, &"low".parse().unwrap()).await;
    assert_eq!(bench.outside.log(), ["first/one", "high/one", "low/one"]);
    serving.stop().await.unwrap();
}

/// Counts how many calls go on at a time for each key.
#[derive(Clone)]
struct Counting {
    clock: Arc<dyn Clock>,
    now: Arc<Mutex<std::collections::BTreeMap<String, (u32, u32)>>>,
}

#[async_trait]
impl Executor for Counting {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let key = action.params()["key"].as_str().unwrap().to_owned();
        {
            let mut now = self.now.lock().unwrap();
            let (running, most) = now.entry(key.clone()).or_default();
            *running += 1;
            *most = (*most).max(*running);
        }
        self.clock.sleep(secs(1)).await;
        self.now.lock().unwrap().get_mut(&key).unwrap().0 -= 1;
        Ok(Outcome::default())
    }

    async fn reconcile(&self, _: &Action) -> Result<Reconciled, ExecuteError> {
        Ok(Reconciled::Unknown)
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_holds_for_each_key_across_workers_and_is_used_up_to_it() {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)));
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let counting = Counting { clock: clock.clone(), now: Arc::default() };
    let engine = || {
        let gate =
            Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(ByKind("rules 1"))).build();
        let executors = Executors::new().with("a".parse().unwrap(), counting.clone());
        WorkflowEngine::builder(store.clone(), clock.clone(), gate).with_executors(executors).build()
    };
    let engines = [engine(), engine()];
    let step = Step::action("one".parse().unwrap(), "a".parse().unwrap(), json!({ "key": "${item}" }));
    let step = step.with_each("${input}", None).with_limit(Limit::at_once("key/${item}", number(3)));
    engines[0].register(workflow("w").with_step(step)).await.unwrap();
    engines[1].register(engines_definition(&engines[0]).await).await.unwrap();
    let mut serving = Vec::new();
    for (engine, name) in engines.iter().zip(["east", "west"]) {
        let (trigger, shutdown) = daa_core::shutdown::ShutdownTrigger::new();
        let engine = engine.clone();
        let task =
            tokio::spawn(
                async move { engine.serve(name.parse().unwrap(), Default::default(), shutdown).await },
            );
        serving.push((trigger, task));
    }
    let before = clock.now();
    for run in 0..6 {
        let start = Start::new(
            format!("run-{run}").parse().unwrap(),
            "w".parse().unwrap(),
            alice(),
            json!(["x", "x", "x", "y"]),
        );
        engines[run % 2].start(start).await.unwrap();
    }
    for run in 0..6 {
        outcome(&engines[0], &format!("run-{run}").parse().unwrap()).await;
    }
    let most = counting.now.lock().unwrap().clone();
    assert_eq!(most, [("x".to_owned(), (0, 3)), ("y".to_owned(), (0, 3))].into());
    // Eighteen times a second, three at a time; room is found again without waiting for a lease to end.
    let took = clock.now().since(before);
    assert!(took < secs(14), "{took:?}");
    for (trigger, task) in serving {
        trigger.trigger();
        task.await.unwrap().unwrap();
    }
}

async fn engines_definition(engine: &WorkflowEngine) -> Workflow {
    let probe: RunId = "probe".parse().unwrap();
    let start = Start::new(probe.clone(), "w".parse().unwrap(), alice(), json!([]));
    engine.start(start).await.unwrap();
    engine.definition(&probe).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_rate_lets_so_many_begin_in_any_span() {
    let bench = Bench::new();
    let limit = Limit::at_once("all", number(100)).with_rate(Rate::new(number(2), secs(10)));
    let step = action("one", "a").with_each("${input}", None).with_limit(limit);
    let flow = workflow("w").with_step(step);
    bench.run(&flow, json!([1, 2, 3, 4, 5, 6, 7])).await;
    let times: Vec<u64> =
        bench.outside.effects().iter().map(|effect| effect.at.as_millis() - 1_000_000).collect();
    assert_eq!(times.len(), 7);
    for span in times.windows(3) {
        assert!(span[2] - span[0] >= 10_000, "three within ten seconds: {times:?}");
    }
    assert!(times[6] < 31_000, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn runs_are_limited_in_a_span_too() {
    let bench = Bench::new();
    let limit = Limit::at_once("all", number(100)).with_rate(Rate::new(number(1), secs(60)));
    let flow = workflow("w").with_limit(limit).with_step(action("one", "a"));
    let serving = bench.serve("main");
    let before = bench.clock.now();
    for run in ["run-1", "run-2", "run-3"] {
        bench.start(run, &flow, json!(null)).await;
    }
    for run in ["run-1", "run-2", "run-3"] {
        outcome(&bench.engine, &run.parse().unwrap()).await;
    }
    let took = bench.clock.now().since(before);
    assert!(took >= secs(120) && took < secs(140), "{took:?}");
    serving.stop().await.unwrap();
}

/// Reports how far it is, and falls silent in its first attempt; keeps what it was given of earlier attempts.
#[derive(Clone)]
struct Silent {
    clock: Arc<dyn Clock>,
    given: Arc<Mutex<Vec<Option<Value>>>>,
}

#[async_trait]
impl Executor for Silent {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        self.given.lock().unwrap().push(action.progress().cloned());
        for done in 1..=10 {
            self.clock.sleep(secs(4)).await;
            action.heartbeat(json!({ "done": done, "attempt": action.attempt() })).unwrap();
            if action.attempt() == 1 && done == 3 {
                std::future::pending().await
            }
        }
        Ok(Outcome::new("all ten"))
    }

    async fn reconcile(&self, _: &Action) -> Result<Reconciled, ExecuteError> {
        Ok(Reconciled::NotFound)
    }
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_falls_silent_is_asked_again_and_its_progress_handed_on() {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)));
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let silent = Silent { clock: clock.clone(), given: Arc::default() };
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(ByKind("rules 1"))).build();
    let executors = Executors::new().with("a".parse().unwrap(), silent.clone());
    let engine = WorkflowEngine::builder(store, clock.clone(), gate).with_executors(executors).build();
    let step = action("one", "a").with_heartbeat(secs(5)).with_retry(Retry::times(2));
    engine.register(workflow("w").with_step(step).with_output("${one}")).await.unwrap();
    let (trigger, shutdown) = daa_core::shutdown::ShutdownTrigger::new();
    let serve = engine.clone();
    let task =
        tokio::spawn(async move { serve.serve("main".parse().unwrap(), Default::default(), shutdown).await });
    let run: RunId = "run-1".parse().unwrap();
    engine.start(Start::new(run.clone(), "w".parse().unwrap(), alice(), json!(null))).await.unwrap();
    clock.sleep(secs(6)).await;
    let view = engine.view(&run).await.unwrap();
    let progress = view.step(&"one".parse().unwrap()).unwrap().progress.clone();
    assert_eq!(progress, Some(json!({ "done": 1, "attempt": 1 })), "it can be watched");
    assert_eq!(outcome(&engine, &run).await, completed("all ten"));
    // It worked for forty seconds, far longer than it may be silent.
    let given = silent.given.lock().unwrap().clone();
    assert_eq!(given, [None, Some(json!({ "done": 3, "attempt": 1 }))]);
    trigger.trigger();
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_try_that_takes_too_long_is_found_out_about_and_repeated() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::hang(), Script::succeed("second")]);
    let step = action("one", "a").with_try_timeout(secs(30)).with_retry(Retry::times(2));
    let outcome = bench.run(&workflow("w").with_step(step).with_output("${one}"), json!(null)).await;
    assert_eq!(outcome, completed("second"));
    assert_eq!(bench.outside.effects()[0].attempt, 2);
    let history = bench.engine.history(&"run-1".parse().unwrap()).await.unwrap();
    let failed = history.iter().find_map(|entry| match &entry.event {
        RunEvent::Failed { error, again, .. } => Some((error.clone(), again.is_some())),
        _ => None,
    });
    let (error, again) = failed.unwrap();
    assert!(matches!(error, StepError::Executor(text) if text.contains("longer than 30s")) && again);
}

#[tokio::test(start_paused = true)]
async fn a_step_is_not_tried_beyond_its_deadline() {
    let bench = Bench::new();
    bench.outside.script("a", std::iter::repeat_n(Script::fail(), 50));
    let retry = Retry::forever().with_waits(secs(4), secs(4)).with_jitter(0.0);
    let step = action("one", "a").with_retry(retry).with_deadline(secs(10));
    let before = bench.clock.now();
    let cause = cause(bench.run(&workflow("w").with_step(step), json!(null)).await);
    assert!(matches!(cause, FailureCause::Step { .. }));
    assert_eq!(bench.outside.calls("run-1/one"), 3, "after 0, 4 and 8 seconds");
    assert!(bench.clock.now().since(before) <= secs(10));

    let bench = Bench::new();
    bench.outside.script("a", [Script::hang()]);
    let step = action("one", "a").with_retry(Retry::forever()).with_deadline(secs(10));
    let before = bench.clock.now();
    bench.run(&workflow("w").with_step(step), json!(null)).await;
    assert_eq!(bench.clock.now().since(before), secs(10), "a hanging try ends with the step");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_too_long_is_rolled_back() {
    let bench = Bench::new();
    let undone = action("one", "a").with_undo("refund".parse().unwrap(), json!({}));
    let wait =
        Step::signal("wait".parse().unwrap(), "go".parse().unwrap()).with_after("one".parse().unwrap());
    let flow = workflow("w").with_deadline(secs(60)).with_step(undone).with_step(wait);
    let before = bench.clock.now();
    let serving = bench.serve("main");
    let run = bench.start("run-1", &flow, json!(null)).await;
    let cause = cause(outcome(&bench.engine, &run).await);
    serving.stop().await.unwrap();
    assert_eq!(cause, FailureCause::Deadline { deadline: before + secs(60) });
    assert_eq!(bench.outside.log(), ["run-1/one", "run-1/one/undo"]);
    assert_eq!(bench.clock.now().since(before), secs(60));
}

#[tokio::test(start_paused = true)]
async fn an_update_is_seen_by_later_steps_and_by_queries() {
    let bench = Bench::new();
    let wait = Step::signal("wait".parse().unwrap(), "go".parse().unwrap());
    let with = |name: &str| {
        let params = json!({ "ceiling": "${vars.ceiling}" });
        Step::action(name.parse().unwrap(), "a".parse().unwrap(), params)
    };
    let flow = workflow("w")
        .with_var("ceiling", Variable::new(Type::Integer, 1))
        .with_step(with("early"))
        .with_step(wait.with_after("early".parse().unwrap()))
        .with_step(with("late").with_after("wait".parse().unwrap()));
    let serving = bench.serve("main");
    bench.outside.script("a", [Script::succeed(json!({ "list": [{ "x": 4 }] }))]);
    let run = bench.start("run-1", &flow, json!({ "a": { "b": 7 } })).await;
    bench.clock.sleep(secs(1)).await;
    bench.engine.update(&run, "ceiling", json!(5)).await.unwrap();
    for (path, expected) in [
        ("vars.ceiling", json!(5)),
        ("input.a.b", json!(7)),
        ("early.list.0.x", json!(4)),
        ("early.list.1.x", json!(null)),
        ("run.id", json!("run-1")),
        ("run.workflow", json!("w")),
        ("wait", json!(null)),
        ("nothing.at.all", json!(null)),
        ("..", json!(null)),
    ] {
        assert_eq!(bench.engine.query(&run, path).await.unwrap(), expected, "{path}");
    }
    bench.engine.signal(&run, "go".parse().unwrap(), json!(null), None).await.unwrap();
    outcome(&bench.engine, &run).await;
    let params: Vec<Value> =
        bench.outside.effects().iter().map(|effect| effect.params["ceiling"].clone()).collect();
    assert_eq!(params, [1, 5]);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_counts_once_for_each_signal() {
    let bench = Bench::new();
    let wait = |name: &str| Step::signal(name.parse().unwrap(), name.parse().unwrap());
    let flow = workflow("w").with_step(wait("go")).with_step(wait("stop"));
    let flow = flow.with_output(json!(["${go}", "${stop}"]));
    let run = bench.start("run-1", &flow, json!(null)).await;
    for (signal, payload) in [("go", 1), ("go", 2), ("stop", 3)] {
        let key = Some("message 7".to_owned());
        bench.engine.signal(&run, signal.parse().unwrap(), json!(payload), key).await.unwrap();
    }
    let serving = bench.serve("main");
    assert_eq!(outcome(&bench.engine, &run).await, completed(json!([1, 3])));
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_signal_counts_once_under_its_key_and_each_time_without_one() {
    let bench = Bench::new();
    let wait = |name: &str| Step::signal(name.parse().unwrap(), "go".parse().unwrap());
    let flow = workflow("w").with_step(wait("one")).with_step(wait("two").with_after("one".parse().unwrap()));
    let flow = flow.with_output(json!(["${one}", "${two}"]));
    // Sent before anybody performs the run.
    let run = bench.start("run-1", &flow, json!(null)).await;
    for payload in [1, 2] {
        let key = Some("same".to_owned());
        bench.engine.signal(&run, "go".parse().unwrap(), json!(payload), key).await.unwrap();
    }
    let serving = bench.serve("main");
    bench.clock.sleep(secs(60)).await;
    assert!(bench.engine.view(&run).await.unwrap().outcome().is_none());
    bench.engine.signal(&run, "go".parse().unwrap(), json!(3), None).await.unwrap();
    assert_eq!(outcome(&bench.engine, &run).await, completed(json!([1, 3])));
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_is_performed_once_under_its_id() {
    let bench = Bench::new();
    bench.outside.script("job", [Script::fail(), Script::succeed("done")]);
    let serving = bench.serve("main");
    let run: RunId = "mail-1".parse().unwrap();
    let enqueue =
        |to: &str| bench.engine.enqueue(run.clone(), alice(), "job".parse().unwrap(), json!({ "to": to }));
    enqueue("bob").await.unwrap();
    enqueue("bob").await.unwrap();
    let error = enqueue("carol").await.unwrap_err();
    assert!(error.to_string().contains("was started before"), "{error}");
    // A job is tried once; that it failed is for whoever enqueued it to know.
    assert!(matches!(cause(outcome(&bench.engine, &run).await), FailureCause::Step { .. }));
    let other: RunId = "mail-2".parse().unwrap();
    bench
        .engine
        .enqueue(other.clone(), alice(), "job".parse().unwrap(), json!({ "to": "bob" }))
        .await
        .unwrap();
    assert_eq!(outcome(&bench.engine, &other).await, completed("done"));
    assert_eq!(bench.outside.log(), ["mail-2/job"]);
    assert_eq!(bench.outside.effects()[0].params, json!({ "to": "bob" }));
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_is_tried_only_so_often_is_left_and_named() {
    let bench = Bench::new();
    bench.outside.script("b", [Script::reject()]);
    bench.outside.script("refund", [Script::fail(), Script::fail(), Script::succeed(1)]);
    let undo = Undo::Action {
        kind: "refund".parse().unwrap(),
        with: Template::new(json!({})),
        max_cost: None,
        retry: Retry::times(2),
    };
    let mut one = action("one", "a");
    one.undo = undo;
    let outcome =
        bench.run(&workflow("w").with_step(one).with_step(then("two", "b", "one")), json!(null)).await;
    let RunOutcome::RolledBack { left, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(left.iter().map(ToString::to_string).collect::<Vec<_>>(), ["one"]);
    assert_eq!(bench.outside.log(), ["run-1/one"]);
}

/// A run of more than three hundred events that then waits.
fn long() -> Workflow {
    let retry = Retry::forever().with_waits(secs(1), secs(1)).with_jitter(0.0);
    let again = action("again", "a").with_retry(retry);
    let wait =
        Step::signal("wait".parse().unwrap(), "go".parse().unwrap()).with_after("again".parse().unwrap());
    workflow("w")
        .with_var("ceiling", Variable::new(Type::Integer, 1))
        .with_step(again)
        .with_step(wait)
        .with_step(then("end", "b", "wait"))
        .with_output(json!(["${again}", "${vars.ceiling}"]))
}

#[tokio::test(start_paused = true)]
async fn a_long_run_goes_on_from_its_snapshot_as_if_it_had_been_read_whole() {
    let memory: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)));
    let outside = World::new().with_clock(clock.clone()).with_rule(|action| match action.attempt() {
        attempt if action.kind().as_str() == "b" || attempt > 100 => Script::succeed(attempt),
        _ => Script::fail(),
    });
    let bench = || Bench::on(CrashStore::new(memory.clone()), clock.clone(), outside.clone(), "rules 1");
    let first = bench();
    let serving = first.serve("main");
    let run = first.start("run-1", &long(), json!(null)).await;
    first.engine.update(&run, "ceiling", json!(2)).await.unwrap();
    first.clock.sleep(secs(200)).await;
    serving.stop().await.unwrap();
    let history = first.engine.history(&run).await.unwrap();
    assert!(history.len() > 300, "{}", history.len());
    let snapshots: Vec<Version> = history
        .iter()
        .filter(|entry| matches!(entry.event, RunEvent::Snapshot(_)))
        .map(|entry| entry.version)
        .collect();
    let last = *snapshots.last().expect("a snapshot");
    let view = first.engine.view(&run).await.unwrap();
    let second = bench();
    let serving = second.serve("main");
    second.engine.signal(&run, "go".parse().unwrap(), json!(null), None).await.unwrap();
    assert_eq!(outcome(&second.engine, &run).await, completed(json!([101, 2])));
    assert_eq!(outside.log(), ["run-1/again", "run-1/end"]);
    let ended = second.engine.view(&run).await.unwrap();
    assert_eq!(ended.steps[0], view.steps[0]);
    // Nothing is left but the snapshot and what followed it.
    memory.erase(&"workflow/run-1".parse().unwrap(), Version::new(last.get() - 1)).await.unwrap();
    assert_eq!(bench().engine.view(&run).await.unwrap(), ended);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_loop_writes_snapshots_in_proportion_to_what_happens() {
    for (times, expected) in [(40, 0), (100, 1), (1_000, 3)] {
        let bench = Bench::new();
        bench.outside.script("a", (0..times).map(Script::succeed));
        let done = Condition::Eq(Template::new("${last}"), Template::new(times - 1));
        let flow = workflow("w").with_step(action("again", "a").with_repeat(done, number(1_000)));
        assert_eq!(bench.run(&flow, json!(null)).await, completed(Value::Null));
        let history = bench.engine.history(&"run-1".parse().unwrap()).await.unwrap();
        let snapshots = history.iter().filter(|entry| matches!(entry.event, RunEvent::Snapshot(_)));
        assert_eq!(snapshots.count(), expected, "{times} times, {} events", history.len());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_room_under_a_limit_does_not_wait_for_it() {
    let bench = Bench::new();
    let limited = |name: &str| action(name, "a").with_limit(Limit::at_once("steps", number(9)));
    let flow = workflow("w")
        .with_limit(Limit::at_once("runs", number(1)))
        .with_step(limited("one"))
        .with_step(limited("list").with_each(json!([1, 2, 3]), None));
    assert_eq!(bench.run(&flow, json!(null)).await, completed(Value::Null));
    let history = bench.engine.history(&"run-1".parse().unwrap()).await.unwrap();
    let waits = |event: &RunEvent| matches!(event, RunEvent::Waiting { .. } | RunEvent::Queued { .. });
    assert!(!history.iter().any(|entry| waits(&entry.event)), "{history:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_done_is_counted() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::fail(), Script::succeed(1)]);
    bench.outside.script("b", [Script::ending(daa_core::workflow::testing::Ending::Forget(json!(1), 2))]);
    let one = action("one", "a").with_retry(Retry::times(2)).with_undo("refund".parse().unwrap(), json!({}));
    let serving = bench.serve("main");
    let good = workflow("good").with_step(one.clone()).with_step(then("two", "b", "one"));
    let run = bench.start("run-1", &good, json!(null)).await;
    outcome(&bench.engine, &run).await;
    bench.outside.script("c", [Script::reject()]);
    let bad = workflow("bad").with_step(one).with_step(then("two", "c", "one"));
    let run = bench.start("run-2", &bad, json!(null)).await;
    outcome(&bench.engine, &run).await;
    let metrics = bench.engine.metrics();
    assert_eq!((metrics.runs_started, metrics.runs_completed, metrics.runs_rolled_back), (2, 1, 1));
    assert_eq!((metrics.steps_succeeded, metrics.steps_failed, metrics.steps_undone), (3, 2, 1));
    // One of them was uncertain, and once more when it was asked again.
    assert_eq!(metrics.steps_unknown, 2);
    // Two tries of the first, one of the second and two questions about it; then two steps and an undo.
    assert_eq!(metrics.steps_begun, 8);
    assert_eq!((metrics.runs_taken_over, metrics.fenced), (0, 0));
    let all = bench.engine.history(&"run-1".parse().unwrap()).await.unwrap().len()
        + bench.engine.history(&"run-2".parse().unwrap()).await.unwrap().len();
    // Whoever started them wrote the first event of each.
    assert_eq!(metrics.events, all as u64 - 2);
    assert!(metrics.appends < metrics.events);
    assert!(metrics.to_string().contains("daa_workflow_steps_undone_total 1\n"), "{metrics}");
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_step_over_a_long_list_of_large_values_fits_into_appends() {
    let bench = Bench::new();
    let large = "x".repeat(60_000);
    bench.outside.script("a", [Script::succeed(large.as_str())]);
    let limit = large.clone();
    let outside = bench.outside.clone().with_rule(move |_| Script::succeed(limit.as_str()));
    let bench = Bench::on(bench.store.clone(), bench.clock.clone(), outside, "rules 1");
    let params = json!({ "item": "${item}", "large": "${one}" });
    let each =
        Step::action("each".parse().unwrap(), "b".parse().unwrap(), params).with_each("${input}", None);
    let flow = workflow("w").with_step(action("one", "a")).with_step(each).with_output("${input.0}");
    let items: Vec<u32> = (0..300).collect();
    let serving = bench.serve("main");
    let run = bench.start("run-1", &flow, json!(items)).await;
    assert_eq!(outcome(&bench.engine, &run).await, completed(0));
    assert_eq!(bench.outside.log().len(), 301);
    assert_eq!(bench.outside.repeated(), []);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_too_large_fails_the_run_and_not_the_worker() {
    let bench = Bench::new();
    let outside =
        World::new().with_clock(bench.clock.clone()).with_rule(|_| Script::succeed("x".repeat(60_000)));
    let bench = Bench::on(bench.store.clone(), bench.clock.clone(), outside, "rules 1");
    let each =
        action("each", "a").with_each("${input}", None).with_undo("refund".parse().unwrap(), json!({}));
    let flow = workflow("w").with_step(each).with_output("${each}");
    let serving = bench.serve("main");
    let items: Vec<u32> = (0..30).collect();
    let run = bench.start("run-1", &flow, json!(items)).await;
    let failed = cause(outcome(&bench.engine, &run).await);
    assert!(matches!(&failed, FailureCause::Output(text) if text.contains("at most")), "{failed:?}");
    assert_eq!(bench.outside.log().len(), 60, "everything was undone");

    // What another run is given has a bound too.
    bench.engine.register(workflow("inner").with_step(action("in", "a"))).await.unwrap();
    let sub = Step::workflow("sub".parse().unwrap(), "inner".parse().unwrap(), json!({ "all": "${each}" }));
    let flow = workflow("v").with_step(action("each", "a").with_each("${input}", None)).with_step(sub);
    let run = bench.start("run-2", &flow, json!(items)).await;
    let failed = cause(outcome(&bench.engine, &run).await);
    assert!(failed.to_string().contains("at most"), "{failed}");
    serving.stop().await.unwrap();
}
