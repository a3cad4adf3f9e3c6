//! An engine on a store that can crash, with an outside world that cannot.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use daa_core::action::{Decision, Executors, Gate, Policy, Request, Verdict};
use daa_core::artifact::Artifacts;
use daa_core::clock::{Clock, Timestamp, VirtualClock};
use daa_core::digest::Digest;
use daa_core::event::{EventStore, MemoryEventStore};
use daa_core::id::{AgentId, RunId};
use daa_core::shutdown::ShutdownTrigger;
use daa_core::workflow::testing::{CrashStore, World};
use daa_core::workflow::{
    FailureCause, RunOutcome, Start, Step, WorkerOptions, Workflow, WorkflowEngine, WorkflowError,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Denies kinds that begin with `deny`, escalates those that begin with `escalate`, permits the rest.
#[derive(Debug)]
pub(crate) struct ByKind(pub(crate) &'static str);

impl Policy for ByKind {
    fn decide(&self, request: &Request<'_>) -> Verdict {
        let kind = request.action.kind().as_str();
        let decision = match kind {
            _ if kind.starts_with("deny") => Decision::Deny { reason: "denied by kind".to_owned() },
            _ if kind.starts_with("escalate") => Decision::Escalate { reason: "ask somebody".to_owned() },
            "workflow.approve" if request.action.actor().as_str() == "mallory" => {
                Decision::Deny { reason: "not you".to_owned() }
            }
            _ => Decision::Permit,
        };
        Verdict::new(decision, Digest::of(self.0.as_bytes()), Vec::new())
    }
}

pub(crate) struct Bench {
    pub(crate) store: Arc<CrashStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) outside: World,
    pub(crate) engine: WorkflowEngine,
}

pub(crate) struct Serving {
    trigger: ShutdownTrigger,
    task: JoinHandle<Result<(), WorkflowError>>,
}

impl Serving {
    pub(crate) async fn stop(self) -> Result<(), WorkflowError> {
        self.trigger.trigger();
        self.task.await.unwrap()
    }

    /// How it comes to an end by itself.
    pub(crate) async fn ended(self) -> Result<(), WorkflowError> {
        self.task.await.unwrap()
    }

    /// As a crash does.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

pub(crate) fn executors(outside: &World) -> Executors {
    let kinds = [
        "a",
        "b",
        "c",
        "d",
        "book",
        "charge",
        "ship",
        "refund",
        "unbook",
        "recall",
        "deny.it",
        "escalate.it",
        "job",
    ];
    kinds.iter().fold(Executors::new(), |all, kind| all.with(kind.parse().unwrap(), outside.clone()))
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::at(Timestamp::from_millis(1_000_000))
    }

    pub(crate) fn at(start: Timestamp) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(start));
        let outside = World::new().with_clock(clock.clone());
        Self::on(CrashStore::new(Arc::new(MemoryEventStore::new())), clock, outside, "rules 1")
    }

    pub(crate) fn on(
        store: Arc<CrashStore>,
        clock: Arc<dyn Clock>,
        outside: World,
        rules: &'static str,
    ) -> Self {
        let shared: Arc<dyn EventStore> = store.clone();
        let gate = Gate::builder(shared.clone(), clock.clone()).with_policy(Arc::new(ByKind(rules))).build();
        let engine =
            WorkflowEngine::builder(shared, clock.clone(), gate).with_executors(executors(&outside)).build();
        Self { store, clock, outside, engine }
    }

    /// The next process on the same store, with the same outside.
    pub(crate) fn restart(&self) -> Self {
        Self::on(self.store.restarted(), self.clock.clone(), self.outside.clone(), "rules 1")
    }

    /// The same, with a place for archives.
    pub(crate) fn with_artifacts(self, artifacts: Arc<dyn Artifacts>) -> Self {
        let shared: Arc<dyn EventStore> = self.store.clone();
        let gate = Gate::builder(shared.clone(), self.clock.clone());
        let gate = gate.with_policy(Arc::new(ByKind("rules 1"))).build();
        let engine = WorkflowEngine::builder(shared, self.clock.clone(), gate)
            .with_executors(executors(&self.outside))
            .with_artifacts(artifacts)
            .build();
        Self { engine, ..self }
    }

    pub(crate) fn serve(&self, worker: &str) -> Serving {
        self.serve_with(worker, WorkerOptions::default())
    }

    pub(crate) fn serve_with(&self, worker: &str, options: WorkerOptions) -> Serving {
        let (trigger, shutdown) = ShutdownTrigger::new();
        let (engine, worker) = (self.engine.clone(), worker.parse().unwrap());
        let task = tokio::spawn(async move { engine.serve(worker, options, shutdown).await });
        Serving { trigger, task }
    }

    pub(crate) async fn start(&self, id: &str, workflow: &Workflow, input: impl Into<Value>) -> RunId {
        self.engine.register(workflow.clone()).await.unwrap();
        let run: RunId = id.parse().unwrap();
        self.engine.start(Start::new(run.clone(), workflow.name.clone(), alice(), input)).await.unwrap();
        run
    }

    /// Runs a workflow to its end.
    pub(crate) async fn run(&self, workflow: &Workflow, input: impl Into<Value>) -> RunOutcome {
        let serving = self.serve("main");
        let run = self.start("run-1", workflow, input).await;
        let outcome = self.engine.outcome(&run).await.unwrap();
        serving.stop().await.unwrap();
        outcome
    }
}

pub(crate) fn alice() -> AgentId {
    "alice".parse().unwrap()
}

pub(crate) fn completed(output: impl Into<Value>) -> RunOutcome {
    RunOutcome::Completed { output: output.into() }
}

pub(super) fn workflow(name: &str) -> Workflow {
    Workflow::new(name.parse().unwrap())
}

pub(super) fn action(name: &str, kind: &str) -> Step {
    Step::action(name.parse().unwrap(), kind.parse().unwrap(), json!({}))
}

pub(super) fn then(name: &str, kind: &str, after: &str) -> Step {
    action(name, kind).with_after(after.parse().unwrap())
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

pub(super) async fn outcome(engine: &WorkflowEngine, run: &RunId) -> RunOutcome {
    let ended = tokio::time::timeout(secs(24 * 3600), engine.outcome(run)).await;
    ended.expect("the run ends").unwrap()
}

pub(super) fn cause(outcome: RunOutcome) -> FailureCause {
    match outcome {
        RunOutcome::RolledBack { cause, .. } => cause,
        other => panic!("{other:?}"),
    }
}
