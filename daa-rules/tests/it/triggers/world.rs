//! A store, a gate, an executor that counts, and a runner.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{
    Action, Authorized, Context, ExecuteError, Executor, Gate, Outcome, Reconciled, SaltKey,
};
use daa_core::clock::{ManualClock, Timestamp};
use daa_core::event::{Batch, EventStore, ExpectedVersion, MemoryEventStore, NewEvent, PageSize, Position};
use daa_rules::{Fired, Notification, Pass, Providers, RulesEngine, Ruleset, RunnerError, TriggerRunner};
use serde_json::{Value, json};

/// What was performed, by the ids of the actions: the world outside, which survives every crash.
#[derive(Debug, Default)]
pub(crate) struct Outside(Mutex<BTreeMap<String, Vec<(String, Value)>>>);

impl Outside {
    /// Kind and parameters of everything that was done, by id.
    pub(crate) fn done(&self) -> Vec<(String, Value)> {
        self.0.lock().unwrap().values().flatten().cloned().collect()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

#[async_trait]
impl Executor for Outside {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let done = (action.kind().to_string(), action.params().clone());
        self.0.lock().unwrap().entry(action.id().to_string()).or_default().push(done);
        Ok(Outcome::new("done"))
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let known = self.0.lock().unwrap().contains_key(action.id().as_str());
        Ok(if known { Reconciled::Completed(Outcome::new("done")) } else { Reconciled::NotFound })
    }
}

pub(crate) struct World {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) clock: ManualClock,
    pub(crate) outside: Arc<Outside>,
    pub(crate) engine: RulesEngine,
    pub(crate) gate: Gate,
}

/// 2026-03-28, 00:00 UTC.
pub(crate) const START: u64 = 1_774_656_000_000;

impl World {
    pub(crate) fn new(rules: &str) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(START));
        Self::on(Arc::new(MemoryEventStore::new()), clock, Arc::default(), rules, None)
    }

    pub(crate) fn with_providers(rules: &str, providers: impl FnOnce(&ManualClock) -> Providers) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(START));
        let providers = providers(&clock);
        Self::on(Arc::new(MemoryEventStore::new()), clock, Arc::default(), rules, Some(providers))
    }

    pub(crate) fn on(
        store: Arc<dyn EventStore>,
        clock: ManualClock,
        outside: Arc<Outside>,
        rules: &str,
        providers: Option<Providers>,
    ) -> Self {
        let ruleset = Ruleset::from_toml(rules).unwrap_or_else(|error| panic!("{error}"));
        let mut engine = RulesEngine::new(ruleset).with_memory(store.clone());
        if let Some(providers) = providers {
            engine = engine.with_providers(providers);
        }
        let gate = Gate::builder(store.clone(), Arc::new(clock.clone()))
            .with_policy(Arc::new(engine.clone()))
            .with_salts(SaltKey::from_bytes([7; 32]))
            .build();
        Self { store, clock, outside, engine, gate }
    }

    pub(crate) fn runner(&self) -> TriggerRunner {
        TriggerRunner::new(
            "main",
            "keeper".parse().unwrap(),
            self.store.clone(),
            Arc::new(self.clock.clone()),
            self.engine.clone(),
            self.gate.clone(),
            self.outside.clone(),
        )
        .unwrap()
    }

    /// A runner that has begun, so that what happens from here on is its business.
    pub(crate) async fn begun(&self) -> TriggerRunner {
        let mut runner = self.runner();
        runner.look().await.unwrap();
        runner
    }

    pub(crate) async fn happen(&self, kind: &str, data: Value) {
        happen(&*self.store, kind, data).await;
    }

    pub(crate) fn clock_now(&self) -> Timestamp {
        use daa_core::clock::Clock as _;
        self.clock.now()
    }

    pub(crate) fn pass_time(&self, span: Duration) {
        self.clock.advance(span);
    }

    pub(crate) async fn submit(&self, id: &str, kind: &str, params: Value) -> bool {
        let action = Action::new(id.parse().unwrap(), kind.parse().unwrap(), "alice".parse().unwrap());
        let action = action.unwrap().with_params(params).unwrap();
        self.gate.submit(action, Context::new(), &*self.outside).await.is_ok()
    }

    pub(crate) async fn notified(&self) -> Vec<Notification> {
        let all = self.store.read_all(Position::START, PageSize::new(10_000)).await.unwrap();
        all.iter().filter_map(|event| Notification::read(event).unwrap()).collect()
    }

    pub(crate) async fn texts(&self) -> Vec<String> {
        self.notified().await.into_iter().map(|notification| notification.text).collect()
    }

    pub(crate) async fn fired(&self) -> Vec<Fired> {
        let all = self.store.read_all(Position::START, PageSize::new(10_000)).await.unwrap();
        all.iter().filter_map(|event| Fired::read(event).unwrap()).collect()
    }
}

pub(crate) async fn happen(store: &dyn EventStore, kind: &str, data: Value) {
    let event = NewEvent::json(kind.parse().unwrap(), Timestamp::from_millis(START), &data).unwrap();
    let batch = Batch::new().with_event("world".parse().unwrap(), ExpectedVersion::Any, event);
    store.append(batch).await.unwrap();
}

/// Passes until nothing is left to do.
pub(crate) async fn settle(runner: &mut TriggerRunner) -> Result<Vec<Pass>, RunnerError> {
    let mut passes = Vec::new();
    loop {
        let pass = runner.look().await?;
        assert!(passes.len() < 1_000, "it does not come to rest");
        if pass.events == 0 && pass.fired.is_empty() && pass.submitted == 0 {
            return Ok(passes);
        }
        passes.push(pass);
    }
}

/// The rules that fired, in order.
pub(crate) fn names(passes: &[Pass]) -> Vec<String> {
    passes.iter().flat_map(|pass| &pass.fired).map(|fired| fired.rule.to_string()).collect()
}

pub(crate) fn units(n: i64) -> Value {
    json!({ "account": "a", "units": n })
}
