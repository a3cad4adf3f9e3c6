//! Stakes and rewards, through the ledger.

use std::sync::Arc;

use daa_core::amount::Amount;
use daa_core::digest::Digest;
use daa_core::event::{EventStore, MemoryEventStore};
use daa_core::id::AgentId;
use daa_economy::audit::verify;
use daa_economy::{Applied, LedgerError, Memo, Rejection, RewardPool, Round, Slash, Stakes};

use crate::support::{all_events, funded, posted, usd};

fn agent(name: &str) -> AgentId {
    name.try_into().unwrap()
}

fn round(number: u64) -> Round {
    Round::new("run".try_into().unwrap(), number)
}

fn memo(text: &str) -> Memo {
    Memo::new(text).unwrap()
}

#[tokio::test]
async fn a_round_is_split_to_the_last_unit_held_and_paid_once() {
    let store = Arc::new(MemoryEventStore::new());
    let ledger = funded(store.clone()).await;
    let pool = RewardPool::new(ledger.clone(), "mint".try_into().unwrap(), usd());
    let weights = [(agent("carol"), 1), (agent("alice"), 1), (agent("bob"), 1), (agent("idle"), 0)];
    let total = Amount::from_units(100);
    let shares = pool.allocate(&round(1), total, &weights).await.unwrap();
    let amounts: Vec<u128> = shares.iter().map(|share| share.amount.units()).collect();
    assert_eq!(amounts, [34, 33, 33, 0]);
    assert_eq!(posted(&ledger, "agent/alice").await, 100, "nothing is paid before the audit");

    pool.pay(&round(1), &agent("alice")).await.unwrap();
    pool.deny(&round(1), &agent("carol"), memo("not verified")).await.unwrap();
    let head = store.head().await.unwrap();
    // A program that starts again does it all again.
    assert_eq!(pool.allocate(&round(1), total, &weights).await.unwrap(), shares);
    assert_eq!(pool.pay(&round(1), &agent("alice")).await.unwrap(), Applied::Before);
    assert_eq!(pool.deny(&round(1), &agent("carol"), memo("again")).await.unwrap(), Applied::Before);
    assert_eq!(store.head().await.unwrap(), head);
    assert!(pool.pay(&round(1), &agent("carol")).await.is_err(), "denied is denied");

    assert_eq!(pool.pending(&round(1), &agent("bob")).await.unwrap(), Some(usd().units(33)));
    assert_eq!(pool.pay_all(&round(1), &[agent("alice"), agent("bob")]).await.unwrap(), Applied::Now);
    assert_eq!((posted(&ledger, "agent/alice").await, posted(&ledger, "agent/bob").await), (134, 33));
    assert_eq!(posted(&ledger, "agent/carol").await, 0);
    let other = pool.allocate(&round(1), Amount::from_units(101), &weights).await;
    assert!(matches!(other, Err(LedgerError::Rejected(Rejection::IdReused { .. }))));
    let twice = [(agent("alice"), 1), (agent("alice"), 2)];
    assert!(pool.allocate(&round(2), total, &twice).await.is_err());
    assert_eq!(verify(&all_events(&*store).await).unwrap().sum, 0);
}

#[tokio::test]
async fn a_pool_never_promises_more_than_it_has() {
    let ledger = funded(Arc::new(MemoryEventStore::new())).await;
    let pool = RewardPool::new(ledger.clone(), "agent/alice".try_into().unwrap(), usd());
    pool.allocate(&round(1), Amount::from_units(70), &[(agent("bob"), 1)]).await.unwrap();
    let over = pool.allocate(&round(2), Amount::from_units(31), &[(agent("bob"), 1)]).await;
    assert!(matches!(over, Err(LedgerError::Rejected(Rejection::InsufficientFunds { .. }))));
    assert_eq!(pool.pending(&round(2), &agent("bob")).await.unwrap(), None);
}

#[tokio::test]
async fn a_stake_is_locked_slashed_with_evidence_and_the_rest_released() {
    let store = Arc::new(MemoryEventStore::new());
    let ledger = funded(store.clone()).await;
    let stakes = Stakes::new(ledger.clone(), "slashed".try_into().unwrap(), usd());
    let (run, alice) = (round(0).run, agent("alice"));
    let evidence = Digest::of(b"the poisoned update");
    assert!(
        stakes.slash(&round(3), &alice, Slash::All, memo("?"), evidence).await.is_err(),
        "nothing is locked"
    );

    let amount = Amount::from_units(50);
    assert_eq!(stakes.lock(&run, &alice, amount).await.unwrap(), Applied::Now);
    assert_eq!(stakes.lock(&run, &alice, amount).await.unwrap(), Applied::Before);
    assert_eq!(stakes.at_stake(&run, &alice).await.unwrap(), amount);

    let part = Slash::UpTo(Amount::from_units(20));
    for expected in [Applied::Now, Applied::Before] {
        let slashed = stakes.slash(&round(3), &alice, part, memo("poisoned"), evidence).await.unwrap();
        assert_eq!(slashed, expected);
    }
    let text = String::from_utf8(all_events(&*store).await.last().unwrap().payload.to_vec()).unwrap();
    assert!(text.contains("poisoned") && text.contains(&evidence.to_string()), "{text}");

    assert_eq!(stakes.release(&run, &alice).await.unwrap(), Applied::Now);
    assert_eq!(stakes.release(&run, &alice).await.unwrap(), Applied::Before);
    assert_eq!((posted(&ledger, "agent/alice").await, posted(&ledger, "slashed").await), (80, 20));
    let late = stakes.slash(&round(4), &alice, Slash::All, memo("late"), evidence).await.unwrap();
    assert_eq!(late, Applied::Before, "nothing is left to take");
    assert_eq!(verify(&all_events(&*store).await).unwrap().sum, 0);
}
