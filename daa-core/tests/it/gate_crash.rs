//! Whatever happens on the way, every effect takes place at most once and is paid for once.

use std::sync::Arc;
use std::time::Duration;

use daa_core::action::{ActionState, Context, DenyAll, Gate, GateError, JournalAudit, OpenActions};
use daa_core::clock::ManualClock;
use daa_core::event::{EventStore, MemoryEventStore, Version};
use daa_core::id::ActionId;
use proptest::prelude::*;
use serde_json::json;

use crate::gate_world::{
    Balance, Does, Loss, Mortal, Outside, action, action_of, gate_on, gate_with, history,
};

fn id(text: &str) -> ActionId {
    text.parse().unwrap()
}

/// Submits, and drops the call once the executor was called: what a kill leaves behind.
async fn killed_while_performing(gate: &Gate, outside: &Arc<Outside>, of: &str) {
    tokio::select! {
        biased;
        result = gate.submit(action(of), Context::new(), outside) => panic!("it ended: {result:?}"),
        () = outside.called.notified() => {}
    }
}

#[tokio::test]
async fn an_effect_that_took_place_before_the_crash_is_found_and_not_repeated() {
    let store = Arc::new(MemoryEventStore::new());
    let outside = Outside::that(Does::HangsAfterwards);
    killed_while_performing(&gate_on(store.clone(), &ManualClock::default()), &outside, "p1").await;
    outside.now(Does::Succeeds(99));
    let gate = gate_on(store.clone(), &ManualClock::default());
    let found = gate.submit(action("p1"), Context::new(), &outside).await.unwrap();
    assert_eq!((found.outcome.output, outside.calls(), outside.effects("p1")), (json!("found"), 1, 1));
    assert_eq!(Balance::read(&*store).await.paid.get("p1"), Some(&60));
}

#[tokio::test]
async fn an_effect_that_did_not_take_place_is_attempted_again() {
    let store = Arc::new(MemoryEventStore::new());
    let outside = Outside::that(Does::Hangs);
    killed_while_performing(&gate_on(store.clone(), &ManualClock::default()), &outside, "p1").await;
    outside.now(Does::Succeeds(40));
    let gate = gate_on(store.clone(), &ManualClock::default());
    let done = gate.submit(action("p1"), Context::new(), &outside).await.unwrap();
    assert_eq!((done.outcome.output, outside.calls(), outside.effects("p1")), (json!("done"), 2, 1));
    let kinds = ["permitted", "attempted", "attempted", "succeeded"].map(|kind| format!("action.{kind}.v1"));
    assert_eq!(history(&*store, "p1").await, kinds);
    assert_eq!(gate.status(&id("p1")).await.unwrap().unwrap().attempts, 2);
    assert_eq!(Balance::read(&*store).await.paid.get("p1"), Some(&40));
}

#[tokio::test]
async fn an_interrupted_attempt_whose_permission_has_ended_has_to_be_permitted_again() {
    let (store, clock) = (Arc::new(MemoryEventStore::new()), ManualClock::default());
    let outside = Outside::that(Does::Hangs);
    for of in ["p1", "p2", "p3"] {
        killed_while_performing(&gate_on(store.clone(), &clock), &outside, of).await;
    }
    outside.now(Does::Succeeds(40));
    let strict = gate_with(store.clone(), &clock, Arc::new(DenyAll));
    // As long as it stands, the permission that was given counts.
    clock.advance(Duration::from_secs(60));
    assert!(!strict.submit(action("p1"), Context::new(), &outside).await.unwrap().replayed);
    clock.advance(Duration::from_millis(1));
    let denied = strict.submit(action("p2"), Context::new(), &outside).await.unwrap_err();
    assert!(matches!(denied, GateError::Denied { .. }), "{denied:?}");
    assert_eq!((outside.calls(), outside.effects("p2")), (4, 0));
    let gate = gate_on(store.clone(), &clock);
    gate.submit(action("p3"), Context::new(), &outside).await.unwrap();
    let whole = ["permitted", "attempted", "failed", "permitted", "attempted", "succeeded"];
    let whole = whole.map(|kind| format!("action.{kind}.v1"));
    assert_eq!(history(&*store, "p3").await, whole);
    assert_eq!(gate.status(&id("p3")).await.unwrap().unwrap().attempts, 2);
    let balance = Balance::read(&*store).await;
    assert_eq!((balance.held.len(), balance.paid.len()), (0, 2));
    let mut audit = JournalAudit::new();
    audit.catch_up(&*store).await.unwrap();
    assert_eq!(audit.summary().findings, []);
}

#[tokio::test]
async fn an_effect_that_nobody_can_tell_of_waits() {
    let store = Arc::new(MemoryEventStore::new());
    let outside = Arc::new(Outside::new(Does::Hangs, false));
    killed_while_performing(&gate_on(store.clone(), &ManualClock::default()), &outside, "p1").await;
    outside.now(Does::Succeeds(40));
    let gate = gate_on(store.clone(), &ManualClock::default());
    let unresolved = gate.submit(action("p1"), Context::new(), &outside).await.unwrap_err();
    assert!(matches!(unresolved, GateError::Unresolved { .. }));
    assert_eq!(gate.reconcile(&id("p1"), &outside).await.unwrap().state, ActionState::Attempted);
    assert_eq!((outside.calls(), Balance::read(&*store).await.held.get("p1")), (1, Some(&100)));
}

#[tokio::test]
async fn two_calls_at_once_with_one_id_perform_once() {
    let store = Arc::new(MemoryEventStore::new());
    let gate = gate_on(store.clone(), &ManualClock::default());
    let outside = Outside::that(Does::Waits);
    let first = tokio::spawn({
        let (gate, outside) = (gate.clone(), outside.clone());
        async move { gate.submit(action("p1"), Context::new(), &outside).await }
    });
    outside.called.notified().await;
    // The effect has not taken place yet, so reconciling now would find nothing and repeat it.
    let second = gate.submit(action("p1"), Context::new(), &outside).await.unwrap_err();
    assert!(matches!(second, GateError::InProgress { .. }));
    assert!(matches!(gate.reconcile(&id("p1"), &outside).await, Err(GateError::InProgress { .. })));
    outside.go_on.notify_one();
    assert!(!first.await.unwrap().unwrap().replayed);
    assert!(gate.submit(action("p1"), Context::new(), &outside).await.unwrap().replayed);
    assert_eq!((outside.calls(), outside.effects("p1")), (1, 1));
    assert_eq!(history(&*store, "p1").await.len(), 3);
}

#[tokio::test]
async fn an_end_that_somebody_else_wrote_first_stands() {
    let store = Arc::new(MemoryEventStore::new());
    let outside = Outside::that(Does::Waits);
    let gate = gate_on(store.clone(), &ManualClock::default());
    let first = tokio::spawn({
        let outside = outside.clone();
        async move { gate.submit(action("p1"), Context::new(), &outside).await }
    });
    outside.called.notified().await;
    // Another process believes the performer gone, and finds the effect.
    outside.effects.lock().unwrap().insert(id("p1"), 1);
    let other = gate_on(store.clone(), &ManualClock::default());
    let status = other.reconcile(&id("p1"), &outside).await.unwrap();
    assert!(matches!(status.state, ActionState::Succeeded(_)));
    outside.go_on.notify_one();
    let performed = first.await.unwrap().unwrap();
    assert_eq!((performed.outcome.output, performed.replayed), (json!("found"), true));
    assert_eq!(Balance::read(&*store).await.paid.get("p1"), Some(&60));
    assert_eq!(history(&*store, "p1").await.len(), 3);
}

#[tokio::test]
async fn reconciling_ends_what_was_permitted_or_attempted() {
    let store = Arc::new(MemoryEventStore::new());
    let gate = gate_on(store.clone(), &ManualClock::default());
    let outside = Outside::that(Does::Hangs);
    drop(gate.authorize(action("unused"), Context::new()).await.unwrap());
    assert_eq!(gate.reconcile(&id("unused"), &outside).await.unwrap().state, ActionState::Expired);
    killed_while_performing(&gate, &outside, "lost").await;
    let lost = gate.reconcile(&id("lost"), &outside).await.unwrap().state;
    assert_eq!(lost, ActionState::Failed("no effect was found when the action was reconciled".to_owned()));
    outside.now(Does::HangsAfterwards);
    killed_while_performing(&gate, &outside, "done").await;
    for _ in 0..2 {
        let done = gate.reconcile(&id("done"), &outside).await.unwrap().state;
        assert!(matches!(done, ActionState::Succeeded(_)));
    }
    let balance = Balance::read(&*store).await;
    assert!(balance.held.is_empty());
    assert_eq!(balance.paid.into_iter().collect::<Vec<_>>(), [("done".to_owned(), 60)]);
    assert!(matches!(gate.reconcile(&id("never"), &outside).await, Err(GateError::Unknown { .. })));
    assert_eq!(outside.effects("lost"), 0);
}

#[tokio::test]
async fn open_actions_are_exactly_those_without_a_last_word() {
    let store = Arc::new(MemoryEventStore::new());
    let gate = gate_on(store.clone(), &ManualClock::default());
    let outside = Outside::that(Does::Succeeds(10));
    let mut followed = OpenActions::new();
    let permit = gate.authorize(action("permitted"), Context::new()).await.unwrap();
    gate.submit(action("done"), Context::new(), &outside).await.unwrap();
    gate.submit(action_of("deny", "denied"), Context::new(), &outside).await.unwrap_err();
    followed.catch_up(&*store).await.unwrap();
    outside.now(Does::Rejects);
    gate.submit(action("failed"), Context::new(), &outside).await.unwrap_err();
    outside.now(Does::Panics);
    gate.submit(action("uncertain"), Context::new(), &outside).await.unwrap_err();
    outside.now(Does::Hangs);
    // Every call so far has left a permit for one waiter.
    outside.called.notified().await;
    killed_while_performing(&gate, &outside, "attempted").await;
    let names = |open: Vec<daa_core::action::ActionStatus>| {
        open.into_iter().map(|status| status.action.id().to_string()).collect::<Vec<_>>()
    };
    let expected = ["attempted", "permitted", "uncertain"];
    assert_eq!(names(gate.open_actions().await.unwrap()), expected);
    followed.catch_up(&*store).await.unwrap();
    assert_eq!(names(followed.iter().cloned().collect()), expected);
    outside.now(Does::Succeeds(10));
    gate.perform(permit, &outside).await.unwrap();
    for open in ["attempted", "uncertain"] {
        gate.submit(action(open), Context::new(), &outside).await.unwrap();
    }
    followed.catch_up(&*store).await.unwrap();
    assert_eq!(followed.iter().count(), 0);
    assert_eq!(gate.open_actions().await.unwrap(), []);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_leaves_the_action_reconcilable() {
    let disk = Arc::new(MemoryEventStore::new());
    let outside = Outside::that(Does::Succeeds(60));
    let gate = gate_on(Mortal::new(disk.clone(), Some((1, Loss::Before))), &ManualClock::default());
    assert!(matches!(gate.submit(action("p1"), Context::new(), &outside).await, Err(GateError::Append(_))));
    let gate = gate_on(disk.clone(), &ManualClock::default());
    assert_eq!(gate.open_actions().await.unwrap().len(), 1);
    let status = gate.reconcile(&id("p1"), &outside).await.unwrap();
    assert!(matches!(status.state, ActionState::Succeeded(_)));
    assert_eq!((outside.calls(), Balance::read(&*disk).await.paid.get("p1")), (1, Some(&60)));
}

/// Runs three actions in processes that die at the given appends, one after the other, until one survives.
async fn run(deaths: &[(usize, Loss)], authorise_first: bool) -> (Arc<MemoryEventStore>, Arc<Outside>) {
    let disk = Arc::new(MemoryEventStore::new());
    let outside = Outside::that(Does::Succeeds(60));
    for dies in deaths.iter().copied().map(Some).chain([None]) {
        let gate = gate_on(Mortal::new(disk.clone(), dies), &ManualClock::default());
        for name in ["p1", "p2", "p3"] {
            let permit =
                if authorise_first { gate.authorize(action(name), Context::new()).await.ok() } else { None };
            let performed = match permit {
                Some(permit) => gate.perform(permit, &outside).await,
                None => gate.submit(action(name), Context::new(), &outside).await,
            };
            if performed.is_err() {
                assert!(dies.is_some(), "the last process has no reason to fail: {performed:?}");
                break;
            }
        }
    }
    (disk, outside)
}

async fn assert_each_took_effect_and_was_paid_once(disk: &dyn EventStore, outside: &Outside) {
    let balance = Balance::read(disk).await;
    assert!(balance.held.is_empty(), "{balance:?}");
    let paid: Vec<_> = balance.paid.iter().map(|(name, units)| (name.as_str(), *units)).collect();
    assert_eq!(paid, [("p1", 60), ("p2", 60), ("p3", 60)]);
    assert_eq!(["p1", "p2", "p3"].map(|name| outside.effects(name)), [1, 1, 1]);
}

#[tokio::test]
async fn a_crash_at_any_append_repeats_no_effect_and_no_payment() {
    for loss in [Loss::Before, Loss::After] {
        for at in 0..10 {
            let (disk, outside) = run(&[(at, loss)], at % 2 == 0).await;
            assert_each_took_effect_and_was_paid_once(&*disk, &outside).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn crashes_in_a_row_repeat_no_effect_and_no_payment(
        deaths in prop::collection::vec((0usize..6, any::<bool>()), 0..8),
        authorise_first in any::<bool>(),
    ) {
        let deaths: Vec<_> = deaths
            .into_iter()
            .map(|(at, before)| (at, if before { Loss::Before } else { Loss::After }))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (disk, outside) = run(&deaths, authorise_first).await;
            assert_each_took_effect_and_was_paid_once(&*disk, &outside).await;
        });
    }
}

#[tokio::test]
async fn an_erased_action_is_forgotten_and_its_id_stays_used() {
    let store = Arc::new(MemoryEventStore::new());
    let outside = Outside::that(Does::Succeeds(40));
    let gate = gate_on(store.clone(), &ManualClock::default());
    gate.submit(action("p1"), Context::new(), &outside).await.unwrap();
    // The decision alone, then all.
    for up_to in [1, 3] {
        store.erase(&"action/p1".parse().unwrap(), Version::new(up_to)).await.unwrap();
        let again = gate.submit(action("p1"), Context::new(), &outside).await.unwrap_err();
        assert!(matches!(again, GateError::IdUsed { .. }), "{again:?}");
        assert_eq!((outside.calls(), outside.effects("p1")), (1, 1));
        assert!(gate.status(&id("p1")).await.unwrap().is_none());
        assert!(gate.open_actions().await.unwrap().is_empty());
    }
    assert_eq!(Balance::read(&*store).await.paid.get("p1"), Some(&40));
}
