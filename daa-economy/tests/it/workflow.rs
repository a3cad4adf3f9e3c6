//! Steps that cost money: each try is decided and reserved anew, under one key, and paid once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{
    Action, Authorized, Decision, ExecuteError, Executor, Gate, JournalAudit, Outcome, Policy, Reconciled,
    Request, Verdict,
};
use daa_core::clock::{Timestamp, VirtualClock};
use daa_core::digest::Digest;
use daa_core::event::{EventStore, MemoryEventStore};
use daa_core::id::RunId;
use daa_core::shutdown::ShutdownTrigger;
use daa_core::workflow::{Retry, RunOutcome, Start, Step, Workflow, WorkflowEngine};
use daa_economy::audit::verify;
use daa_economy::{AgentTreasury, Budget, Ledger, Period};
use serde_json::json;

use crate::support::{all_events, available, funded, posted, usd};

#[derive(Debug)]
struct PermitAll;

impl Policy for PermitAll {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        Verdict::new(Decision::Permit, Digest::of(b"permit all"), Vec::new())
    }
}

/// Is not available the first times, and then costs what it was asked to.
#[derive(Clone)]
struct Shop {
    failures: Arc<AtomicU32>,
    ledger: Ledger,
    held: Arc<AtomicU32>,
}

#[async_trait]
impl Executor for Shop {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let free = available(&self.ledger, "agent/alice").await;
        self.held.fetch_max(u32::try_from(100 - free).unwrap(), Ordering::Relaxed);
        let left =
            self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(ExecuteError::unavailable("closed"));
        }
        let cost = action.params()["cost"].as_u64().unwrap();
        Ok(Outcome::new("bought").with_cost(usd().units(cost.into())))
    }

    async fn reconcile(&self, _: &Action) -> Result<Reconciled, ExecuteError> {
        Ok(Reconciled::NotFound)
    }
}

struct World {
    store: MemoryEventStore,
    ledger: Ledger,
    shop: Shop,
}

async fn buy(budget: u128, failures: u32, tries: u32) -> (World, RunOutcome) {
    let store = MemoryEventStore::new();
    let shared: Arc<dyn EventStore> = Arc::new(store.clone());
    let clock = Arc::new(VirtualClock::new(Timestamp::EPOCH));
    let ledger = funded(shared.clone()).await;
    let (name, agent) = ("total".try_into().unwrap(), "alice".try_into().unwrap());
    ledger.set_budget(Budget::new(name, agent, usd().units(budget), Period::Total)).await.unwrap();
    let treasury = AgentTreasury::new(ledger.clone(), "fees".try_into().unwrap());
    let gate = Gate::builder(shared.clone(), clock.clone())
        .with_policy(Arc::new(PermitAll))
        .with_treasury(Arc::new(treasury))
        .build();
    let failures = Arc::new(AtomicU32::new(failures));
    let shop = Shop { failures, ledger: ledger.clone(), held: Arc::default() };
    let engine = WorkflowEngine::builder(shared, clock, gate)
        .with_executor("buy".try_into().unwrap(), shop.clone())
        .build();
    let most = serde_json::to_value(usd().units(40)).unwrap();
    let step = Step::action("buy".try_into().unwrap(), "buy".try_into().unwrap(), json!({ "cost": 30 }))
        .with_max_cost(most)
        .with_retry(Retry::times(tries).with_waits(Duration::from_secs(1), Duration::from_secs(1)));
    engine.register(Workflow::new("shop".try_into().unwrap()).with_step(step)).await.unwrap();
    let run: RunId = "run-1".try_into().unwrap();
    let alice = "alice".try_into().unwrap();
    engine.start(Start::new(run.clone(), "shop".try_into().unwrap(), alice, json!(null))).await.unwrap();
    let (trigger, shutdown) = ShutdownTrigger::new();
    let worker = engine.clone();
    let serving =
        tokio::spawn(
            async move { worker.serve("main".try_into().unwrap(), Default::default(), shutdown).await },
        );
    let outcome = engine.outcome(&run).await.unwrap();
    trigger.trigger();
    serving.await.unwrap().unwrap();
    (World { store, ledger, shop }, outcome)
}

async fn check(world: &World) {
    assert_eq!(verify(&all_events(&world.store).await).unwrap().sum, 0);
    let mut audit = JournalAudit::new();
    audit.catch_up(&world.store).await.unwrap();
    let summary = audit.summary();
    assert_eq!((summary.violations, summary.actions), (0, 1), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_tried_again_holds_money_once_and_pays_once() {
    let (world, outcome) = buy(50, 2, 3).await;
    assert!(matches!(outcome, RunOutcome::Completed { .. }), "{outcome:?}");
    assert_eq!((posted(&world.ledger, "agent/alice").await, posted(&world.ledger, "fees").await), (70, 30));
    assert_eq!(available(&world.ledger, "agent/alice").await, 70);
    assert_eq!(world.shop.held.load(Ordering::Relaxed), 40, "no try found the money of another one held");
    check(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_for_good_gives_everything_back() {
    let (world, outcome) = buy(50, 9, 3).await;
    assert!(matches!(outcome, RunOutcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(available(&world.ledger, "agent/alice").await, 100);
    check(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_step_that_the_budget_does_not_cover_is_never_begun() {
    let (world, outcome) = buy(39, 0, 1).await;
    let RunOutcome::RolledBack { cause, .. } = outcome else { panic!("{outcome:?}") };
    assert!(cause.to_string().contains("budget total allows 0.39 USD more"), "{cause}");
    assert_eq!(world.shop.held.load(Ordering::Relaxed), 0);
    check(&world).await;
}
