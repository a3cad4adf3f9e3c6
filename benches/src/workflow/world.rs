//! An engine whose actions are permitted and do nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use daa_core::action::{Decision, Gate, Outcome, Policy, Request, Verdict};
use daa_core::agent::executor_fn;
use daa_core::clock::SystemClock;
use daa_core::digest::Digest;
use daa_core::event::EventStore;
use daa_core::id::RunId;
use daa_core::shutdown::ShutdownTrigger;
use daa_core::workflow::{Start, Step, WorkerOptions, Workflow, WorkflowEngine, WorkflowError};
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Two threads that perform, as on the other side.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[derive(Debug)]
struct PermitAll(Digest);

impl Policy for PermitAll {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        Verdict::new(Decision::Permit, self.0, Vec::new())
    }
}

/// Counts the actions that were performed.
#[derive(Debug, Default)]
pub(crate) struct Performed {
    count: AtomicUsize,
    wanted: AtomicUsize,
    reached: Notify,
}

impl Performed {
    fn one(&self) {
        if self.count.fetch_add(1, Ordering::AcqRel) + 1 == self.wanted.load(Ordering::Acquire) {
            self.reached.notify_one();
        }
    }

    /// Says how many more are to be waited for; before they can be performed.
    pub(crate) fn expect(&self, more: usize) {
        self.wanted.store(self.count.load(Ordering::Acquire) + more, Ordering::Release);
    }

    pub(crate) async fn all(&self) {
        self.reached.notified().await;
    }
}

/// An engine, and how many actions it performed.
pub(crate) struct World {
    pub(crate) engine: WorkflowEngine,
    pub(crate) performed: Arc<Performed>,
}

/// A worker at work.
pub(crate) struct Serving {
    trigger: ShutdownTrigger,
    task: JoinHandle<Result<(), WorkflowError>>,
}

impl Serving {
    pub(crate) async fn stop(self) {
        self.trigger.trigger();
        self.task.await.expect("a worker").expect("an end in good order");
    }
}

impl World {
    pub(crate) fn new(store: Arc<dyn EventStore>) -> Self {
        let clock = Arc::new(SystemClock::new());
        let rules = Arc::new(PermitAll(Digest::builder("permit all").finish()));
        let gate = Gate::builder(store.clone(), clock.clone()).with_policy(rules).build();
        let performed = Arc::new(Performed::default());
        let counter = performed.clone();
        let nothing = executor_fn(move |_| {
            counter.one();
            Box::pin(async { Ok(Outcome::new("done")) })
        });
        let engine = WorkflowEngine::builder(store, clock, gate)
            .with_executor("work".try_into().expect("a kind"), nothing)
            .build();
        Self { engine, performed }
    }

    /// Registers a workflow of so many steps, one after the other.
    pub(crate) async fn register_steps(&self, steps: usize) {
        let name = steps_of(steps);
        let workflow =
            (0..steps).fold(Workflow::new(name.as_str().try_into().expect("a name")), |flow, at| {
                let step = action(&format!("s{at}"));
                flow.with_step(match at.checked_sub(1) {
                    Some(before) => step.with_after(format!("s{before}").try_into().expect("a name")),
                    None => step,
                })
            });
        self.engine.register(workflow).await.expect("a definition");
    }

    /// Registers a workflow that waits for a signal.
    pub(crate) async fn register_waiting(&self) {
        let go = Step::signal("wait".try_into().expect("a name"), "go".try_into().expect("a name"));
        let workflow = Workflow::new("waiting".try_into().expect("a name")).with_step(go);
        self.engine.register(workflow).await.expect("a definition");
    }

    pub(crate) fn serve(&self) -> Serving {
        let (trigger, shutdown) = ShutdownTrigger::new();
        let engine = self.engine.clone();
        let name = "main".try_into().expect("a name");
        let task = tokio::spawn(async move { engine.serve(name, WorkerOptions::default(), shutdown).await });
        Serving { trigger, task }
    }

    /// Starts a run of a workflow of steps.
    pub(crate) async fn start(&self, run: &RunId, steps: usize) {
        self.start_named(run, &steps_of(steps)).await;
    }

    pub(crate) async fn start_named(&self, run: &RunId, workflow: &str) {
        let workflow = workflow.try_into().expect("a name");
        let actor = "bench".try_into().expect("a name");
        self.engine.start(Start::new(run.clone(), workflow, actor, json!({}))).await.expect("a start");
    }

    /// Starts a run and waits for its end.
    pub(crate) async fn perform(&self, run: &RunId, steps: usize) {
        self.start(run, steps).await;
        self.engine.outcome(run).await.expect("an outcome");
    }
}

fn steps_of(steps: usize) -> String {
    format!("steps-{steps}")
}

fn action(name: &str) -> Step {
    Step::action(name.try_into().expect("a name"), "work".try_into().expect("a kind"), json!({}))
}

pub(crate) fn run_id(text: String) -> RunId {
    text.try_into().expect("an id")
}

/// A store on disk; the database lies in the current directory, since `/tmp` may be no disk.
pub(crate) fn open(dir: &Path) -> Arc<SqliteEventStore> {
    let options = SqliteOptions::default();
    Arc::new(SqliteEventStore::open(dir.join("events.db"), options).expect("a store"))
}
