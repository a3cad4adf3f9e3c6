//! How long histories stay in the store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::action::Gate;
use daa_core::agent::{Agent, PlannedAction, strategy_fn};
use daa_core::artifact::{
    ArtifactError, ArtifactInfo, ArtifactReader, ArtifactWriter, Artifacts, MemoryArtifacts,
};
use daa_core::digest::Digest;
use daa_core::event::{EventStore, PageSize, Version};
use daa_core::id::RunId;
use daa_core::workflow::testing::Script;
use daa_core::workflow::{RunOutcome, Step, WorkerOptions, Workflow, WorkflowError};
use serde_json::json;

use super::world::{Bench, ByKind, alice, executors};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn options() -> WorkerOptions {
    WorkerOptions::default().with_retention(DAY)
}

fn bench() -> (Bench, Arc<dyn Artifacts>) {
    let artifacts: Arc<dyn Artifacts> = Arc::new(MemoryArtifacts::new());
    (Bench::new().with_artifacts(artifacts.clone()), artifacts)
}

fn action(name: &str, kind: &str) -> Step {
    Step::action(name.parse().unwrap(), kind.parse().unwrap(), json!({}))
}

async fn is_archived(bench: &Bench, run: &str) -> bool {
    let stream = format!("workflow/{run}").parse().unwrap();
    let events = bench.store.read_stream(&stream, Version::EMPTY, PageSize::default()).await.unwrap();
    events.first().unwrap().is_erased()
}

/// A run that waits for two others, one within the other, and then for a signal.
async fn nested(bench: &Bench) -> RunId {
    let charge = action("charge", "charge").with_undo("refund".parse().unwrap(), json!({}));
    bench.engine.register(Workflow::new("inmost".parse().unwrap()).with_step(charge)).await.unwrap();
    let sub = |name: &str| Step::workflow("sub".parse().unwrap(), name.parse().unwrap(), json!({}));
    bench.engine.register(Workflow::new("inner".parse().unwrap()).with_step(sub("inmost"))).await.unwrap();
    let wait =
        Step::signal("wait".parse().unwrap(), "go".parse().unwrap()).with_after("sub".parse().unwrap());
    let outer = Workflow::new("outer".parse().unwrap()).with_step(sub("inner")).with_step(wait);
    bench.start("run-1", &outer, json!(null)).await
}

#[tokio::test(start_paused = true)]
async fn what_an_open_run_waited_for_is_archived_with_it_and_not_forgotten() {
    let (bench, artifacts) = bench();
    let serving = bench.serve_with("main", options());
    let run = nested(&bench).await;
    bench.clock.sleep(DAY * 3).await;
    assert_eq!(artifacts.list().await.unwrap(), [], "the run may fail, and undo what it waited for");
    bench.engine.signal(&run, "go".parse().unwrap(), json!(null), None).await.unwrap();
    bench.engine.outcome(&run).await.unwrap();
    bench.clock.sleep(DAY / 2).await;
    assert_eq!(artifacts.list().await.unwrap(), [], "it may be rolled back after all");
    bench.clock.sleep(DAY).await;
    for run in ["run-1", "run-1/sub", "run-1/sub/sub"] {
        assert!(is_archived(&bench, run).await, "{run}");
    }
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_within_the_retention_can_be_undone_with_all_it_waited_for() {
    let (bench, artifacts) = bench();
    let serving = bench.serve_with("main", options());
    let run = nested(&bench).await;
    bench.clock.sleep(DAY * 3).await;
    bench.engine.signal(&run, "go".parse().unwrap(), json!(null), None).await.unwrap();
    bench.engine.outcome(&run).await.unwrap();
    bench.clock.sleep(DAY / 2).await;
    bench.engine.roll_back(&run, alice(), "after all").await.unwrap();
    bench.clock.sleep(DAY * 3 / 4).await;
    let outcome = bench.engine.outcome(&run).await.unwrap();
    assert!(matches!(outcome, RunOutcome::RolledBack { left, .. } if left.is_empty()));
    assert_eq!(bench.outside.log(), ["run-1/sub/sub/charge", "run-1/sub/sub/charge/undo"]);
    assert_eq!(artifacts.list().await.unwrap(), [], "a day counts from its last end");
    bench.clock.sleep(DAY).await;
    assert_eq!(artifacts.list().await.unwrap().len(), 3);
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_ends_at_once_is_archived_at_once_however_much_it_is() {
    let (bench, artifacts) = bench();
    let flow = Workflow::new("one".parse().unwrap()).with_step(action("one", "a"));
    let serving = bench.serve_with("main", options());
    for number in 0..200 {
        bench.start(&format!("run-{number}"), &flow, json!(null)).await;
    }
    bench.clock.sleep(Duration::from_secs(1)).await;
    bench.clock.sleep(DAY).await;
    assert_eq!(artifacts.list().await.unwrap().len(), 200);
    serving.stop().await.unwrap();
}

/// An agent of which each plan is one action.
async fn agent(bench: &Bench) -> Agent {
    let shared: Arc<dyn EventStore> = bench.store.clone();
    let gate = Gate::builder(shared.clone(), bench.clock.clone());
    let gate = gate.with_policy(Arc::new(ByKind("rules 1"))).build();
    let plan = strategy_fn("always", |_| vec![PlannedAction::new("a".parse().unwrap())]).unwrap();
    let agent = Agent::builder(alice(), gate, shared, bench.clock.clone());
    agent.with_executors(executors(&bench.outside)).with_strategy(plan).build().await.unwrap()
}

/// Never answers.
#[derive(Debug)]
struct Stuck;

#[async_trait]
impl Artifacts for Stuck {
    async fn put(&self, _: Bytes) -> Result<Digest, ArtifactError> {
        std::future::pending().await
    }

    async fn get(&self, _: &Digest) -> Result<Option<Bytes>, ArtifactError> {
        std::future::pending().await
    }

    async fn remove(&self, _: &Digest) -> Result<bool, ArtifactError> {
        std::future::pending().await
    }

    async fn list(&self) -> Result<Vec<Digest>, ArtifactError> {
        std::future::pending().await
    }

    async fn page(&self, _: Option<&Digest>, _: usize) -> Result<Vec<ArtifactInfo>, ArtifactError> {
        std::future::pending().await
    }

    async fn writer(&self) -> Result<Box<dyn ArtifactWriter>, ArtifactError> {
        std::future::pending().await
    }

    async fn open(&self, _: &Digest) -> Result<Option<Box<dyn ArtifactReader>>, ArtifactError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_of_artefacts_that_never_answers_holds_no_run_up() {
    let bench = Bench::new().with_artifacts(Arc::new(Stuck));
    let flow = Workflow::new("one".parse().unwrap()).with_step(action("one", "a"));
    let serving = bench.serve_with("main", options());
    bench.start("before", &flow, json!(null)).await;
    bench.clock.sleep(DAY * 2).await;
    let after = bench.start("after", &flow, json!(null)).await;
    let outcome = tokio::time::timeout(Duration::from_secs(60), bench.engine.outcome(&after)).await;
    assert!(outcome.expect("the worker goes on").unwrap().is_completed());
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_plan_of_an_agent_is_told_of_its_end() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::succeed(1).after(Duration::from_secs(10))]);
    let serving = bench.serve("main");
    let mut agent = agent(&bench).await;
    let cycle = tokio::spawn(async move { agent.cycle().await.map(drop) });
    bench.clock.sleep(Duration::from_secs(1)).await;
    let told = bench.engine.clone();
    let told = tokio::spawn(async move { told.outcome(&"agent/alice/1".parse().unwrap()).await });
    bench.clock.sleep(Duration::from_secs(1)).await;
    cycle.await.unwrap().unwrap();
    let told = tokio::time::timeout(Duration::from_secs(60), told).await;
    assert!(told.expect("it is told").unwrap().unwrap().is_completed());
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_plans_of_an_agent_are_archived_but_for_its_latest() {
    let (bench, artifacts) = bench();
    let mut first = agent(&bench).await;
    for _ in 0..3 {
        first.cycle().await.unwrap();
    }
    drop(first);
    let serving = bench.serve_with("main", options());
    bench.clock.sleep(DAY * 2).await;
    assert_eq!(artifacts.list().await.unwrap().len(), 2);
    assert!(is_archived(&bench, "agent/alice/1").await && is_archived(&bench, "agent/alice/2").await);
    assert!(!is_archived(&bench, "agent/alice/3").await);
    let refused = bench.engine.archive(&"agent/alice/3".parse().unwrap()).await;
    assert!(matches!(refused, Err(WorkflowError::ReservedRun { .. })), "{refused:?}");
    // The agent goes on where it was, and its next plan frees the last one.
    let mut again = agent(&bench).await;
    again.cycle().await.unwrap();
    bench.clock.sleep(DAY * 2).await;
    assert!(is_archived(&bench, "agent/alice/3").await);
    let plan = "agent/alice/3".parse().unwrap();
    assert!(bench.engine.history(&plan).await.unwrap().len() > 3);
    assert!(bench.engine.view(&plan).await.unwrap().outcome().is_some_and(RunOutcome::is_completed));
    serving.stop().await.unwrap();
}
