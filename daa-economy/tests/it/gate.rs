//! The gate with a treasury on the ledger: a decision and its reservation are one append, and so are an outcome
//! and its settlement.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{
    Action, ActionState, Authorized, Context, Decision, ExecuteError, Executor, Gate, GateError, Outcome,
    Policy, Reconciled, Refusal, Request, Treasury, Verdict,
};
use daa_core::amount::Money;
use daa_core::clock::{ManualClock, Timestamp};
use daa_core::digest::Digest;
use daa_core::event::{EventStore, MemoryEventStore};
use daa_economy::audit::verify;
use daa_economy::{AgentTreasury, Budget, Ledger, Period};

use crate::support::{Dies, DyingStore, all_events, available, funded, ledger_on, posted, usd};

#[derive(Debug)]
struct PermitAll;

impl Policy for PermitAll {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        Verdict::new(Decision::Permit, Digest::of(b"permit all"), Vec::new())
    }
}

/// What the executor does.
enum Does {
    Costs(Money),
    Rejects,
}

#[async_trait]
impl Executor for Does {
    async fn execute(&self, _: &Authorized) -> Result<Outcome, ExecuteError> {
        match self {
            Self::Costs(cost) => Ok(Outcome::new("done").with_cost(*cost)),
            Self::Rejects => Err(ExecuteError::rejected("no")),
        }
    }

    async fn reconcile(&self, _: &Action) -> Result<Reconciled, ExecuteError> {
        match self {
            Self::Costs(cost) => Ok(Reconciled::Completed(Outcome::new("done").with_cost(*cost))),
            Self::Rejects => Ok(Reconciled::NotFound),
        }
    }
}

fn gate(store: Arc<dyn EventStore>, ledger: &Ledger, clock: &ManualClock) -> Gate {
    let treasury = AgentTreasury::new(ledger.clone(), "fees".try_into().unwrap());
    Gate::builder(store, Arc::new(clock.clone()))
        .with_policy(Arc::new(PermitAll))
        .with_treasury(Arc::new(treasury))
        .build()
}

fn costs(units: u128) -> Does {
    Does::Costs(usd().units(units))
}

fn action(id: &str, max_cost: u128) -> Action {
    Action::new(id.try_into().unwrap(), "call".try_into().unwrap(), "alice".try_into().unwrap())
        .unwrap()
        .with_max_cost(usd().units(max_cost))
}

async fn budget(ledger: &Ledger, limit: u128) {
    let (name, agent) = ("total".try_into().unwrap(), "alice".try_into().unwrap());
    ledger.set_budget(Budget::new(name, agent, usd().units(limit), Period::Total)).await.unwrap();
}

struct World {
    store: MemoryEventStore,
    ledger: Ledger,
    clock: ManualClock,
    gate: Gate,
}

async fn world(limit: u128) -> World {
    let (store, clock) = (MemoryEventStore::new(), ManualClock::default());
    let ledger = funded(Arc::new(store.clone())).await;
    budget(&ledger, limit).await;
    let gate = gate(Arc::new(store.clone()), &ledger, &clock);
    World { store, ledger, clock, gate }
}

#[tokio::test]
async fn reserves_the_most_spends_the_actual_and_gives_the_rest_back() {
    let world = world(50).await;
    world.gate.submit(action("a1", 40), Context::new(), &costs(15)).await.unwrap();
    assert_eq!((posted(&world.ledger, "agent/alice").await, posted(&world.ledger, "fees").await), (85, 15));
    assert_eq!(available(&world.ledger, "agent/alice").await, 85);
    // Again: the recorded outcome, and no second payment.
    assert!(world.gate.submit(action("a1", 40), Context::new(), &costs(15)).await.unwrap().replayed);
    assert_eq!(posted(&world.ledger, "fees").await, 15);
    // Only 15 of the budget are used: 35 fit, then nothing more does.
    world.gate.submit(action("a2", 35), Context::new(), &costs(35)).await.unwrap();
    let over = world.gate.submit(action("a3", 1), Context::new(), &costs(1)).await;
    assert!(matches!(over, Err(GateError::Refused(Refusal::OverBudget { .. }))), "{over:?}");
    assert_eq!(verify(&all_events(&world.store).await).unwrap().sum, 0);
}

#[tokio::test]
async fn gives_everything_back_when_nothing_took_effect_or_it_was_free() {
    let world = world(50).await;
    assert!(world.gate.submit(action("a1", 40), Context::new(), &Does::Rejects).await.is_err());
    world.gate.submit(action("a2", 40), Context::new(), &costs(0)).await.unwrap();
    assert_eq!(available(&world.ledger, "agent/alice").await, 100);
    let _permit = world.gate.authorize(action("a3", 50), Context::new()).await.unwrap();
    assert_eq!(available(&world.ledger, "agent/alice").await, 50);
    world.clock.advance(Duration::from_secs(61));
    let status = world.gate.reconcile(&"a3".try_into().unwrap(), &Does::Rejects).await.unwrap();
    assert_eq!(status.state, ActionState::Expired);
    assert_eq!(available(&world.ledger, "agent/alice").await, 100);
}

#[tokio::test]
async fn refuses_what_funds_do_not_cover_and_records_it() {
    let world = world(1000).await;
    let poor = world.gate.submit(action("a1", 101), Context::new(), &costs(1)).await;
    let Err(GateError::Refused(Refusal::InsufficientFunds { needed, available })) = poor else {
        panic!("{poor:?}")
    };
    assert_eq!((needed, available), (usd().units(101), usd().units(100)));
    let status = world.gate.status(&"a1".try_into().unwrap()).await.unwrap().unwrap();
    assert!(matches!(status.state, ActionState::Refused(_)));
}

#[tokio::test]
async fn a_batch_of_calls_cannot_spend_more_than_the_budget_together() {
    let world = world(50).await;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..20 {
        let gate = world.gate.clone();
        tasks.spawn(async move {
            gate.submit(action(&format!("call-{index}"), 10), Context::new(), &costs(10)).await.is_ok()
        });
    }
    let done = tasks.join_all().await.into_iter().filter(|done| *done).count();
    assert_eq!((done, posted(&world.ledger, "fees").await), (5, 50));
}

#[tokio::test]
async fn refuses_an_agent_without_a_budget() {
    let (store, clock) = (MemoryEventStore::new(), ManualClock::default());
    let ledger = funded(Arc::new(store.clone())).await;
    let refused =
        gate(Arc::new(store), &ledger, &clock).submit(action("a", 1), Context::new(), &costs(1)).await;
    assert!(matches!(refused, Err(GateError::Refused(Refusal::NoBudget { .. }))), "{refused:?}");
}

#[tokio::test]
async fn refuses_an_agent_without_an_account_in_the_currency() {
    let world = world(50).await;
    let eur = daa_core::amount::Currency::new("EUR", 2).unwrap();
    let action = action("a1", 1).with_max_cost(eur.units(1));
    let refused = world.gate.submit(action, Context::new(), &costs(1)).await;
    assert!(matches!(refused, Err(GateError::Refused(Refusal::NoAccount { .. }))), "{refused:?}");
    assert_eq!(world.ledger.balances().await.unwrap().len(), 3, "no account for the payee is left behind");
}

#[tokio::test]
async fn an_overrun_costs_no_more_than_was_reserved() {
    let world = world(50).await;
    world.gate.submit(action("a1", 40), Context::new(), &costs(45)).await.unwrap();
    assert_eq!((posted(&world.ledger, "agent/alice").await, posted(&world.ledger, "fees").await), (60, 40));
    let events = all_events(&world.store).await;
    let ended = events.iter().find(|event| event.kind.as_str() == "action.succeeded.v1").unwrap();
    assert!(String::from_utf8_lossy(&ended.payload).contains("\"overrun\""));
}

#[tokio::test]
async fn a_crash_at_any_append_keeps_the_money_and_pays_once() {
    for dies in [Dies::Before, Dies::After] {
        for appends in 0..2 {
            let (store, clock) = (MemoryEventStore::new(), ManualClock::default());
            let ledger = funded(Arc::new(store.clone())).await;
            budget(&ledger, 50).await;
            let dying = DyingStore::new(store.clone(), appends, dies);
            let first = gate(dying.clone(), &ledger_on(dying).await, &clock);
            first.submit(action("a1", 40), Context::new(), &costs(15)).await.unwrap_err();

            // Money and decision are never apart: what is permitted and not ended is held, and nothing else.
            let ledger = ledger_on(Arc::new(store.clone())).await;
            let gate = gate(Arc::new(store.clone()), &ledger, &clock);
            let status = gate.status(&"a1".try_into().unwrap()).await.unwrap();
            let held = if status.is_some_and(|status| status.state.is_open()) { 40 } else { 0 };
            let balance = ledger.balance(&"agent/alice".try_into().unwrap(), usd()).await.unwrap().unwrap();
            assert_eq!(balance.held.units(), held, "{dies:?} {appends}");

            gate.submit(action("a1", 40), Context::new(), &costs(15)).await.unwrap();
            assert_eq!(posted(&ledger, "fees").await, 15, "{dies:?} {appends}");
            assert_eq!(available(&ledger, "agent/alice").await, 85, "{dies:?} {appends}");
            verify(&all_events(&store).await).unwrap();
        }
    }
}

/// While it executes, another process reconciles the same action and ends it.
struct EndedMeanwhile {
    other: Gate,
}

#[async_trait]
impl Executor for EndedMeanwhile {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        self.other.reconcile(action.id(), &costs(15)).await.map_err(ExecuteError::rejected)?;
        Ok(Outcome::new("done").with_cost(usd().units(15)))
    }
}

#[tokio::test]
async fn an_action_that_two_processes_end_is_settled_once() {
    let world = world(50).await;
    let other_ledger = ledger_on(Arc::new(world.store.clone())).await;
    let other = gate(Arc::new(world.store.clone()), &other_ledger, &world.clock);
    let performed =
        world.gate.submit(action("a1", 40), Context::new(), &EndedMeanwhile { other }).await.unwrap();
    assert!(performed.replayed, "the other's outcome was recorded first");
    assert_eq!(posted(&world.ledger, "fees").await, 15);
}

#[tokio::test]
async fn no_two_actions_share_a_reservation_however_often_they_are_asked_for_and_whatever_their_ids() {
    let world = world(1_000).await;
    let treasury = AgentTreasury::new(world.ledger.clone(), "fees".try_into().unwrap());
    let now = Timestamp::EPOCH;
    let mut change = treasury.begin().await.unwrap();
    let mut open = BTreeSet::new();
    for id in ["x", "x/4", "x/4/4", "4/x", "x.4", "4", "x/5"] {
        // It comes to nothing a few times, and is asked for again.
        for _ in 0..3 {
            let reservation = change.reserve(&action(id, 1), now).unwrap();
            assert!(!open.contains(&reservation), "{reservation} is held for another action than {id}");
            change.release(&reservation, now).unwrap();
        }
        let reservation = change.reserve(&action(id, 1), now).unwrap();
        assert!(open.insert(reservation.clone()), "{reservation} is held for another action than {id}");
        // The same call once more.
        assert_eq!(change.reserve(&action(id, 1), now).unwrap(), reservation);
    }
}

#[tokio::test]
async fn an_action_may_be_asked_for_as_often_as_it_takes() {
    let world = world(1_000).await;
    let treasury = AgentTreasury::new(world.ledger.clone(), "fees".try_into().unwrap());
    let now = Timestamp::EPOCH;
    let mut change = treasury.begin().await.unwrap();
    for _ in 0..2_000 {
        let reservation = change.reserve(&action("x", 1), now).unwrap();
        change.release(&reservation, now).unwrap();
    }
}
