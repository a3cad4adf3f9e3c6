//! A gate under rules that remember, payments as told, and a treasury with deep pockets.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{
    Action, ActionEvent, Authorized, Context, ExecuteError, Executor, Gate, GateError, Outcome, Performed,
    Reconciled, Refusal, ReservationId, Treasury, TreasuryChange, TreasuryError,
};
use daa_core::amount::{Currency, Money};
use daa_core::clock::{Clock, ManualClock, Timestamp};
use daa_core::event::{EventStore, PageSize, Position, StreamWrite};
use daa_rules::{RulesEngine, Ruleset};
use serde_json::{Value, json};

/// Nobody has exactly so much.
pub(super) const REFUSED: u128 = 241;

pub(super) fn usdc() -> Currency {
    Currency::new("USDC", 6).unwrap()
}

#[derive(Debug)]
pub(super) struct DeepPockets;

#[async_trait]
impl Treasury for DeepPockets {
    async fn begin(&self) -> Result<Box<dyn TreasuryChange>, TreasuryError> {
        Ok(Box::new(Self))
    }
}

impl TreasuryChange for DeepPockets {
    fn reserve(&mut self, action: &Action, _: Timestamp) -> Result<ReservationId, Refusal> {
        let cost = action.max_cost().unwrap();
        if cost.amount().units() == REFUSED {
            let available = cost.currency().units(0);
            return Err(Refusal::InsufficientFunds { needed: cost, available });
        }
        Ok(action.id().as_str().parse().unwrap())
    }

    fn settle(&mut self, _: &ReservationId, _: Money, _: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }

    fn release(&mut self, _: &ReservationId, _: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }

    fn writes(&self) -> Vec<StreamWrite> {
        Vec::new()
    }

    fn confirm(self: Box<Self>) {}
}

/// Does what the parameters of a payment say: `ok` with what it costs, `fail`, or `lost`: nobody knows. What became of
/// a lost one, `found` says.
pub(super) struct Scripted;

#[async_trait]
impl Executor for Scripted {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        match action.params()["does"].as_str() {
            Some("ok") => Ok(outcome(action.params())),
            Some("lost") => Err(ExecuteError::interrupted("the line is dead")),
            _ => Err(ExecuteError::rejected("no such account")),
        }
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        Ok(match (action.params()["does"].as_str(), action.params()["found"].as_bool()) {
            (Some("ok"), _) | (Some("lost"), Some(true)) => Reconciled::Completed(outcome(action.params())),
            _ => Reconciled::NotFound,
        })
    }
}

fn outcome(params: &Value) -> Outcome {
    let outcome = Outcome::new("paid");
    match params["costs"].as_u64() {
        Some(costs) => outcome.with_cost(usdc().units(costs.into())),
        None => outcome,
    }
}

/// A clock by whose time nobody waits: whoever would lets others go first.
#[derive(Debug)]
pub(super) struct Impatient(pub(super) ManualClock);

#[async_trait]
impl Clock for Impatient {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep_until(&self, _: Timestamp) {
        tokio::task::yield_now().await;
    }
}

/// One process: its engine and its gate, on a store.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) gate: Gate,
    pub(super) engine: RulesEngine,
}

impl Process {
    pub(super) fn new(store: Arc<dyn EventStore>, clock: &ManualClock, rules: &str) -> Self {
        Self::on(store, Arc::new(clock.clone()), rules)
    }

    pub(super) fn on(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>, rules: &str) -> Self {
        let ruleset = Ruleset::from_toml(rules).unwrap_or_else(|error| panic!("{error}"));
        let engine = RulesEngine::new(ruleset).with_memory(store.clone());
        let gate = Gate::builder(store, clock)
            .with_policy(Arc::new(engine.clone()))
            .with_treasury(Arc::new(DeepPockets))
            .with_permit_ttl(Duration::from_secs(5))
            .build();
        Self { gate, engine }
    }

    pub(super) async fn pay(&self, payment: Action) -> Result<Performed, GateError> {
        self.gate.submit(payment, Context::new(), &Scripted).await
    }
}

/// A payment of at most `cost` smallest units.
pub(super) fn payment(id: &str, actor: &str, to: &str, cost: u128, script: &Value) -> Action {
    let action = Action::new(id.parse().unwrap(), "payment.send".parse().unwrap(), actor.parse().unwrap());
    let mut params = json!({ "to": to });
    params.as_object_mut().unwrap().extend(script.as_object().unwrap().clone());
    action.unwrap().with_params(params).unwrap().with_max_cost(usdc().units(cost))
}

/// One that takes effect and costs all of it.
pub(super) fn paid(id: &str, actor: &str, to: &str, cost: u128) -> Action {
    payment(id, actor, to, cost, &json!({ "does": "ok", "costs": cost as u64 }))
}

pub(super) async fn journal(store: &dyn EventStore) -> Vec<ActionEvent> {
    let mut events = Vec::new();
    let mut after = Position::START;
    loop {
        let page = store.read_all(after, PageSize::default()).await.unwrap();
        let Some(last) = page.last() else { return events };
        after = last.position;
        events.extend(page.iter().filter_map(|event| ActionEvent::read(event).unwrap()));
    }
}

pub(super) fn is_denied<T>(result: &Result<T, GateError>) -> bool {
    matches!(result, Err(GateError::Denied { .. }))
}
