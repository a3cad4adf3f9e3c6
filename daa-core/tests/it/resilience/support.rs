//! Executors that do as they are told, and a gate that lets everything through.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{
    Action, Authorized, Context, Decision, ExecuteError, Executor, Gate, GateError, Outcome, Performed,
    Policy, Reconciled, Request, Verdict,
};
use daa_core::clock::ManualClock;
use daa_core::digest::Digest;
use daa_core::event::MemoryEventStore;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Permits everything.
#[derive(Debug)]
pub(crate) struct PermitAll;

impl Policy for PermitAll {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        let ruleset = Digest::builder("daa test permit all v1").finish();
        Verdict::new(Decision::Permit, ruleset, Vec::new())
    }
}

pub(crate) fn gate(clock: &ManualClock) -> Gate {
    let store = Arc::new(MemoryEventStore::new());
    Gate::builder(store, Arc::new(clock.clone())).with_policy(Arc::new(PermitAll)).build()
}

pub(crate) fn action(id: &str) -> Action {
    Action::new(id.parse().unwrap(), "test.act".parse().unwrap(), "tester".parse().unwrap()).unwrap()
}

pub(crate) async fn submit(
    gate: &Gate,
    id: impl ToString,
    executor: &dyn Executor,
) -> Result<Performed, GateError> {
    in_time(gate.submit(action(&id.to_string()), Context::new(), executor)).await
}

/// Fails the test when what must end on the test's clock does not.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("it should have ended by now")
}

pub(crate) type Running = JoinHandle<Result<Performed, GateError>>;

/// Submits in the background, and returns when the action waits for something.
pub(crate) async fn start(
    gate: &Gate,
    id: impl ToString,
    executor: &Arc<impl Executor + 'static>,
) -> Running {
    let (gate, id, executor) = (gate.clone(), id.to_string(), executor.clone());
    let running = tokio::spawn(async move { submit(&gate, id, &*executor).await });
    idle().await;
    running
}

/// Lets every task run until it waits. The runtime has one thread, so a few rounds are enough.
pub(crate) async fn idle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// The error that the executor returned, out of the gate's.
pub(crate) fn cause(result: Result<Performed, GateError>) -> ExecuteError {
    match result {
        Err(GateError::Failed(error) | GateError::Uncertain(error)) => error,
        other => panic!("the executor should have failed, but: {other:?}"),
    }
}

pub(crate) fn unavailable() -> Result<Outcome, ExecuteError> {
    Err(ExecuteError::unavailable("down"))
}

pub(crate) fn interrupted() -> Result<Outcome, ExecuteError> {
    Err(ExecuteError::interrupted("connection lost"))
}

pub(crate) fn rejected() -> Result<Outcome, ExecuteError> {
    Err(ExecuteError::rejected("malformed"))
}

pub(crate) fn done(output: &str) -> Result<Outcome, ExecuteError> {
    Ok(Outcome::new(output))
}

/// Returns what was scripted, in order, and then succeeds.
#[derive(Default)]
pub(crate) struct Scripted {
    results: Mutex<VecDeque<Result<Outcome, ExecuteError>>>,
    calls: AtomicUsize,
    reconciled: Option<Reconciled>,
    compensation: Option<Action>,
}

impl Scripted {
    pub(crate) fn new(results: impl IntoIterator<Item = Result<Outcome, ExecuteError>>) -> Self {
        Self { results: Mutex::new(results.into_iter().collect()), ..Self::default() }
    }

    pub(crate) fn with_reconciled(mut self, reconciled: Reconciled) -> Self {
        self.reconciled = Some(reconciled);
        self
    }

    pub(crate) fn with_compensation(mut self, action: Action) -> Self {
        self.compensation = Some(action);
        self
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Executor for Scripted {
    async fn execute(&self, _: &Authorized) -> Result<Outcome, ExecuteError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.results.lock().unwrap().pop_front().unwrap_or_else(|| done("ok"))
    }

    async fn reconcile(&self, _: &Action) -> Result<Reconciled, ExecuteError> {
        self.reconciled.clone().ok_or_else(|| ExecuteError::unavailable("cannot tell"))
    }

    fn compensation(&self, _: &Action, _: &Outcome) -> Option<Action> {
        self.compensation.clone()
    }
}

/// Takes effect, and answers only when it is let go.
pub(crate) struct Slow {
    go: Semaphore,
    begun: AtomicUsize,
    result: fn() -> Result<Outcome, ExecuteError>,
}

impl Slow {
    pub(crate) fn new() -> Self {
        Self::ending_in(|| done("slow"))
    }

    pub(crate) fn ending_in(result: fn() -> Result<Outcome, ExecuteError>) -> Self {
        Self { go: Semaphore::new(0), begun: AtomicUsize::new(0), result }
    }

    pub(crate) fn let_go(&self, calls: usize) {
        self.go.add_permits(calls);
    }

    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Executor for Slow {
    async fn execute(&self, _: &Authorized) -> Result<Outcome, ExecuteError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.go.acquire().await.unwrap().forget();
        (self.result)()
    }

    async fn reconcile(&self, _: &Action) -> Result<Reconciled, ExecuteError> {
        let begun = self.begun() > 0;
        Ok(if begun { Reconciled::Completed(Outcome::new("found")) } else { Reconciled::NotFound })
    }
}
