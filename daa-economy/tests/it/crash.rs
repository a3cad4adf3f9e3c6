//! A process that dies at every append, before or after it is durable, and starts again.

use std::sync::Arc;

use daa_core::amount::Amount;
use daa_core::event::{AppendError, Batch, EventStore, MemoryEventStore};
use daa_core::id::AgentId;
use daa_economy::audit::{verify, verify_store};
use daa_economy::{AccountKind, Applied, Command, Hold, LedgerError, RewardPool, Round, Stakes};

use crate::support::{
    Dies, DyingStore, FlakyStore, Hiccup, account, all_events, available, funded, ledger_on, posted,
    transfer, usd,
};

/// A whole program that knows nothing of crashes: it is simply run again.
async fn program(store: Arc<dyn EventStore>) -> Result<(), LedgerError> {
    let ledger = ledger_on(store).await;
    ledger.open_account(account("mint", AccountKind::Issuance)).await?;
    ledger.open_account(account("agent/alice", AccountKind::Agent)).await?;
    ledger.open_account(account("agent/bob", AccountKind::Agent)).await?;
    ledger.transfer(transfer("fund", "mint", "agent/alice", 100)).await?;
    let linked =
        [transfer("l1", "agent/alice", "agent/bob", 10), transfer("l2", "agent/bob", "agent/alice", 3)];
    ledger.transfer_linked(linked.to_vec()).await?;
    let batch = (0..10).map(|index| transfer(&format!("b{index}"), "agent/alice", "agent/bob", 2));
    ledger.transfer_batch(batch.collect()).await?;
    let (from, to) = ("agent/alice".try_into().unwrap(), "agent/bob".try_into().unwrap());
    let hold = Hold::new("h".try_into().unwrap(), from, to, usd().units(20));
    ledger.hold(hold).await?;
    ledger.post(&"h".try_into().unwrap(), Amount::from_units(5)).await?;
    let run = Round::new("run".try_into().unwrap(), 1);
    let (alice, bob): (AgentId, AgentId) = ("alice".try_into().unwrap(), "bob".try_into().unwrap());
    let stakes = Stakes::new(ledger.clone(), "slashed".try_into().unwrap(), usd());
    stakes.lock(&run.run, &alice, Amount::from_units(30)).await?;
    let pool = RewardPool::new(ledger, "mint".try_into().unwrap(), usd());
    pool.allocate(&run, Amount::from_units(9), &[(alice.clone(), 1), (bob.clone(), 2)]).await?;
    pool.pay_all(&run, &[alice.clone(), bob]).await?;
    stakes.release(&run.run, &alice).await?;
    Ok(())
}

#[tokio::test]
async fn running_again_after_a_crash_at_any_append_ends_in_the_same_ledger() {
    let whole = MemoryEventStore::new();
    program(Arc::new(whole.clone())).await.unwrap();
    let expected = verify(&all_events(&whole).await).unwrap();
    assert_eq!(verify_store(&whole).await.unwrap(), expected);
    let mut crashes = 0;
    for dies in [Dies::Before, Dies::After] {
        for appends in 0.. {
            let store = MemoryEventStore::new();
            let dying = DyingStore::new(store.clone(), appends, dies);
            if program(dying).await.is_ok() {
                break;
            }
            crashes += 1;
            verify(&all_events(&store).await).unwrap();
            program(Arc::new(store.clone())).await.unwrap();
            assert_eq!(verify(&all_events(&store).await).unwrap(), expected, "{dies:?} append {appends}");
        }
    }
    assert_eq!(crashes, 24, "12 appends, each with a crash before and after it");
}

#[tokio::test]
async fn a_ledger_that_lives_on_takes_back_what_the_store_did_not_take() {
    let store = FlakyStore::new([]);
    let ledger = funded(store.clone()).await;
    store.then(Hiccup::Unavailable);
    let failed = ledger.transfer(transfer("t1", "agent/alice", "agent/bob", 60)).await;
    assert!(matches!(failed, Err(LedgerError::Append(AppendError::Unavailable { .. }))));
    assert_eq!((available(&ledger, "agent/alice").await, posted(&ledger, "agent/bob").await), (100, 0));
    // The same money and the same id can be used: nothing of the first try was left behind.
    assert_eq!(ledger.transfer(transfer("t1", "agent/alice", "agent/bob", 90)).await.unwrap(), Applied::Now);

    for (hiccup, id) in [(Hiccup::UnconfirmedAndLost, "t2"), (Hiccup::UnconfirmedButDurable, "t3")] {
        store.then(hiccup);
        ledger.transfer(transfer(id, "agent/alice", "agent/bob", 4)).await.unwrap();
    }
    assert_eq!((available(&ledger, "agent/alice").await, posted(&ledger, "agent/bob").await), (2, 98));
    let summary = verify(&all_events(&*store).await).unwrap();
    assert_eq!((summary.transfers, summary.sum), (4, 0));
}

#[tokio::test]
async fn a_change_that_is_dropped_or_was_durable_without_being_confirmed_is_seen_as_it_is() {
    let store = MemoryEventStore::new();
    let ledger = funded(Arc::new(store.clone())).await;
    let command = || Command::Transfer(vec![transfer("t", "agent/alice", "agent/bob", 10)]);
    let mut change = ledger.begin().await.unwrap();
    change.step(command(), ledger.now()).unwrap();
    drop(change);
    assert_eq!(posted(&ledger, "agent/bob").await, 0);

    let mut change = ledger.begin().await.unwrap();
    assert_eq!(change.step(command(), ledger.now()).unwrap(), Applied::Now);
    let mut batch = Batch::new();
    batch.writes = change.writes();
    store.append(batch).await.unwrap();
    drop(change);
    assert_eq!(posted(&ledger, "agent/bob").await, 10, "durable is durable, confirmed or not");
    assert_eq!(ledger.perform(command()).await.unwrap(), Applied::Before);
}
