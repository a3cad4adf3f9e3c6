//! A small world for agents to act in: a counter of effects that knows what it did, a store that fails or stops
//! where it is told to, and rules.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use daa_core::action::*;
use daa_core::agent::*;
use daa_core::clock::{Clock, ManualClock};
use daa_core::digest::Digest;
use daa_core::event::*;
use daa_core::id::*;
use serde_json::json;

/// Permits everything but the kinds `forbidden` and `escalated`.
#[derive(Debug)]
pub(crate) struct Rules;

impl Policy for Rules {
    fn decide(&self, request: &Request<'_>) -> Verdict {
        let decision = match request.action.kind().as_str() {
            "forbidden" => Decision::Deny { reason: "forbidden".to_owned() },
            "escalated" => Decision::Escalate { reason: "ask somebody".to_owned() },
            _ => Decision::Permit,
        };
        Verdict::new(decision, Digest::builder("rules").finish(), Vec::new())
    }
}

/// Where effects take place; outlives every agent. What is done is counted by action id, so that a second effect
/// of one id is seen, and the order is kept.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) effects: Mutex<BTreeMap<String, u32>>,
    pub(crate) order: Mutex<Vec<String>>,
    /// Whether it can be found out that `late` took effect.
    pub(crate) revealed: AtomicBool,
}

impl World {
    pub(crate) fn counts(&self) -> BTreeMap<String, u32> {
        self.effects.lock().unwrap().clone()
    }

    pub(crate) fn order(&self) -> Vec<String> {
        self.order.lock().unwrap().clone()
    }

    fn happen(&self, id: &str) {
        *self.effects.lock().unwrap().entry(id.to_owned()).or_default() += 1;
        self.order.lock().unwrap().push(id.to_owned());
    }

    fn happened(&self, id: &str) -> bool {
        self.effects.lock().unwrap().contains_key(id)
    }
}

/// Performs `work`, fails at `fail`, loses sight of `late`, never ends `hang`.
#[derive(Clone, Debug)]
pub(crate) struct Worker(pub(crate) Arc<World>);

#[async_trait]
impl Executor for Worker {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        tokio::task::yield_now().await;
        match action.kind().as_str() {
            "fail" => return Err(ExecuteError::rejected("as asked")),
            "late" => return Err(ExecuteError::interrupted("as asked")),
            "hang" => std::future::pending::<()>().await,
            "panic" => panic!("as asked"),
            _ => {}
        }
        self.0.happen(action.id().as_str());
        tokio::task::yield_now().await;
        Ok(Outcome::new(json!({ "value": 10 })))
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        tokio::task::yield_now().await;
        if action.kind().as_str() == "late" && !self.0.revealed.load(Ordering::SeqCst) {
            return Ok(Reconciled::Unknown);
        }
        Ok(if action.kind().as_str() == "late" || self.0.happened(action.id().as_str()) {
            Reconciled::Completed(Outcome::new(json!({ "value": 10 })))
        } else {
            Reconciled::NotFound
        })
    }

    fn compensation(&self, action: &Action, _: &Outcome) -> Option<Action> {
        Action::new(action.id().clone(), kind("undo"), action.actor().clone()).ok()
    }
}

/// A store that fails the append of a given number, before or after it is applied, and yields around each, so
/// that a future can be dropped there.
#[derive(Clone, Debug)]
pub(crate) struct FaultyStore {
    pub(crate) inner: MemoryEventStore,
    pub(crate) appends: Arc<AtomicU64>,
    pub(crate) fail_at: Arc<AtomicU64>,
    /// Whether the failing append is applied before it fails.
    pub(crate) applied: Arc<AtomicBool>,
}

impl FaultyStore {
    pub(crate) fn new() -> Self {
        Self {
            inner: MemoryEventStore::new(),
            appends: Arc::default(),
            fail_at: Arc::new(AtomicU64::new(u64::MAX)),
            applied: Arc::default(),
        }
    }
}

#[async_trait]
impl EventStore for FaultyStore {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        tokio::task::yield_now().await;
        let number = self.appends.fetch_add(1, Ordering::SeqCst);
        if number == self.fail_at.load(Ordering::SeqCst) {
            if self.applied.load(Ordering::SeqCst) {
                self.inner.append(batch).await?;
                return Err(AppendError::Unconfirmed { source: "as asked".into() });
            }
            return Err(AppendError::Unavailable { source: "as asked".into() });
        }
        let appended = self.inner.append(batch).await?;
        tokio::task::yield_now().await;
        Ok(appended)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_stream(stream, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.inner.subscribe(after).await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.inner.erase(stream, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

pub(crate) fn kind(name: &str) -> ActionKind {
    ActionKind::new(name).unwrap()
}

pub(crate) fn metric(name: &str) -> MetricName {
    MetricName::new(name).unwrap()
}

/// Steps of these kinds.
pub(crate) fn steps(kinds: &[&str]) -> Vec<PlannedAction> {
    kinds.iter().map(|name| PlannedAction::new(kind(name))).collect()
}

/// A builder whose agent can perform every kind that the [`Worker`] knows.
pub(crate) fn builder(
    store: impl EventStore + 'static,
    clock: &ManualClock,
    world: &Arc<World>,
) -> AgentBuilder {
    builder_on(Arc::new(store), clock, world)
}

/// The same, on a store that is shared.
pub(crate) fn builder_on(
    store: Arc<dyn EventStore>,
    clock: &ManualClock,
    world: &Arc<World>,
) -> AgentBuilder {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(Rules)).build();
    let mut executors = Executors::new();
    for name in ["work", "fail", "late", "hang", "panic", "undo", "forbidden"] {
        executors = executors.with(kind(name), Worker(world.clone()));
    }
    Agent::builder(AgentId::new("a").unwrap(), gate, store, clock).with_executors(executors)
}

/// A strategy that always does the same.
pub(crate) fn always(kinds: &'static [&'static str]) -> impl Strategy + 'static {
    strategy_fn("always", move |_| steps(kinds)).unwrap()
}
