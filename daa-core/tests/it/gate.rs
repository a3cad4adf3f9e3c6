//! What the gate lets through, what it records, and what becomes of the money.

use std::sync::Arc;
use std::time::Duration;

use daa_core::action::{ActionState, Context, Gate, GateError, Refusal, SaltKey};
use daa_core::clock::ManualClock;
use daa_core::event::{EventStore, MemoryEventStore, PageSize, Position, RecordedEvent};
use daa_core::seed::Seed;
use serde_json::json;

use crate::gate_world::{
    Balance, ByKind, Does, Mortal, Outside, action, action_of, gate_on, history, last_event, usd,
};

const DONE: [&str; 3] = ["action.permitted.v1", "action.attempted.v1", "action.succeeded.v1"];

#[tokio::test]
async fn permit_attempt_and_outcome_are_recorded_in_order() {
    let store = Arc::new(MemoryEventStore::new());
    let gate = gate_on(store.clone(), &ManualClock::default());
    let outside = Outside::that(Does::Succeeds(60));
    let permit = gate.authorize(action("p1"), Context::new().with("trusted", true)).await.unwrap();
    assert_eq!(history(&*store, "p1").await, DONE[..1]);
    assert_eq!(Balance::read(&*store).await.held.get("p1"), Some(&100));
    assert_eq!(outside.calls(), 0);
    let performed = gate.perform(permit, &outside).await.unwrap();
    assert_eq!((performed.outcome.output, performed.replayed), (json!("done"), false));
    assert_eq!(history(&*store, "p1").await, DONE);
    let balance = Balance::read(&*store).await;
    assert_eq!((balance.held.get("p1"), balance.paid.get("p1")), (None, Some(&60)));
}

#[tokio::test]
async fn decision_reservation_and_attempt_are_one_append_and_so_are_outcome_and_settlement() {
    let store = Mortal::new(Arc::default(), None);
    let gate = gate_on(store.clone(), &ManualClock::default());
    gate.submit(action("p1"), Context::new(), &Outside::that(Does::Succeeds(60))).await.unwrap();
    let batches = store.batches.lock().unwrap().clone();
    let expected = [vec![DONE[0], DONE[1], "books.v1"], vec![DONE[2], "books.v1"]];
    assert_eq!(batches, expected);
}

#[tokio::test]
async fn what_is_withheld_is_recorded_and_not_done() {
    let store = Arc::new(MemoryEventStore::new());
    let gate = gate_on(store.clone(), &ManualClock::default());
    let outside = Outside::that(Does::Succeeds(1));
    for _ in 0..2 {
        let denied = gate.submit(action_of("deny.it", "d"), Context::new(), &outside).await.unwrap_err();
        assert!(matches!(denied, GateError::Denied { reason, .. } if reason == "denied by kind"));
        let escalated =
            gate.submit(action_of("escalate.it", "e"), Context::new(), &outside).await.unwrap_err();
        assert!(matches!(escalated, GateError::Escalated(asked) if asked.reason == "ask somebody"));
        let costly = action_of("pay", "c").with_max_cost(usd(1_001));
        let refused = gate.submit(costly, Context::new(), &outside).await.unwrap_err();
        let short = Refusal::InsufficientFunds { needed: usd(1_001), available: usd(1_000) };
        assert!(matches!(refused, GateError::Refused(refusal) if refusal == short));
    }
    assert_eq!(history(&*store, "d").await, ["action.withheld.v1"]);
    assert_eq!(history(&*store, "e").await, ["action.withheld.v1"]);
    assert_eq!(history(&*store, "c").await, ["action.refused.v1"]);
    assert_eq!(last_event(&*store, "d").await["withheld"]["verdict"]["rules"], json!(["by-kind"]));
    assert_eq!(outside.calls(), 0);
    assert!(Balance::read(&*store).await.held.is_empty());
}

#[tokio::test]
async fn content_has_a_salt_of_its_own_only_where_the_gate_was_given_a_key() {
    let salts = |with: Option<SaltKey>| async move {
        let store = Arc::new(MemoryEventStore::new());
        let clock = ManualClock::default();
        let gate = match with {
            None => gate_on(store.clone(), &clock),
            Some(key) => Gate::builder(store.clone(), Arc::new(clock))
                .with_policy(Arc::new(ByKind))
                .with_salts(key)
                .build(),
        };
        let outside = Outside::that(Does::Succeeds(60));
        let _ = gate.submit(action_of("pay", "p1"), Context::new(), &outside).await;
        let _ = gate.submit(action_of("deny.it", "d"), Context::new(), &outside).await;
        let all = store.read_all(Position::START, PageSize::default()).await.unwrap();
        let salt = |event: &RecordedEvent| {
            let event: serde_json::Value = event.json().unwrap();
            let body = event.as_object().unwrap().values().next().unwrap().clone();
            body.get("salt").map(|salt| salt.as_str().unwrap().to_owned())
        };
        all.iter().filter(|event| event.stream.as_str().starts_with("action/")).map(salt).collect::<Vec<_>>()
    };
    let key = |seed| SaltKey::from_seed(&Seed::from_u64(seed));
    assert_eq!(salts(None).await, [None, None, None, None]);
    let salted = salts(Some(key(1))).await;
    // The attempt has no content.
    let [Some(permitted), None, Some(succeeded), Some(withheld)] = salted.as_slice() else {
        panic!("{salted:?}")
    };
    assert!(permitted != succeeded && permitted != withheld && succeeded != withheld);
    assert_eq!(salts(Some(key(1))).await, salted);
    assert_ne!(salts(Some(key(2))).await, salted);
}

#[tokio::test]
async fn the_same_action_twice_takes_effect_once() {
    let store = Arc::new(MemoryEventStore::new());
    let gate = gate_on(store.clone(), &ManualClock::default());
    let outside = Outside::that(Does::Succeeds(60));
    let first = gate.submit(action("p1"), Context::new(), &outside).await.unwrap();
    let second = gate.submit(action("p1"), Context::new(), &outside).await.unwrap();
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(first.outcome, second.outcome);
    assert_eq!((outside.calls(), history(&*store, "p1").await.len()), (1, 3));
}

#[tokio::test]
async fn an_id_stands_for_one_action_only() {
    let gate = gate_on(Arc::new(MemoryEventStore::new()), &ManualClock::default());
    let outside = Outside::that(Does::Succeeds(60));
    gate.submit(action("p1"), Context::new(), &outside).await.unwrap();
    let other = action("p1").with_max_cost(usd(99));
    let refused = gate.submit(other.clone(), Context::new(), &outside).await.unwrap_err();
    assert!(matches!(refused, GateError::IdUsed { id } if id.as_str() == "p1"));
    assert!(matches!(gate.authorize(other, Context::new()).await, Err(GateError::IdUsed { .. })));
    assert!(matches!(gate.authorize(action("p1"), Context::new()).await, Err(GateError::IdUsed { .. })));
    assert_eq!(outside.calls(), 1);
}

#[tokio::test]
async fn a_panicking_executor_leaves_the_action_uncertain_and_its_money_held() {
    let store = Arc::new(MemoryEventStore::new());
    let gate = gate_on(store.clone(), &ManualClock::default());
    for (id, does, text) in [
        ("p1", Does::Panics, "the executor panicked: out of paper"),
        ("p2", Does::Interrupted, "the action was interrupted: the line is dead"),
    ] {
        let outside = Outside::that(does);
        let failed = gate.submit(action(id), Context::new(), &outside).await.unwrap_err();
        assert!(matches!(failed, GateError::Uncertain(_)), "{failed}");
        assert_eq!(last_event(&*store, id).await, json!({ "uncertain": { "error": text } }));
        assert_eq!(Balance::read(&*store).await.held.get(id), Some(&100));
        let found = gate.submit(action(id), Context::new(), &outside).await.unwrap();
        assert_eq!((found.outcome.output, outside.calls(), outside.effects(id)), (json!("found"), 1, 1));
        assert_eq!(Balance::read(&*store).await.paid.get(id), Some(&60));
    }
}

#[tokio::test]
async fn a_failure_without_effect_gives_the_money_back_and_is_final() {
    let store = Arc::new(MemoryEventStore::new());
    let gate = gate_on(store.clone(), &ManualClock::default());
    let outside = Outside::that(Does::Rejects);
    let failed = gate.submit(action("p1"), Context::new(), &outside).await.unwrap_err();
    assert!(matches!(failed, GateError::Failed(_)));
    let balance = Balance::read(&*store).await;
    assert!(balance.held.is_empty() && balance.paid.is_empty());
    let again = gate.submit(action("p1"), Context::new(), &outside).await.unwrap_err();
    let text = "the action was rejected: no such account";
    assert!(matches!(again, GateError::FailedBefore { error } if error == text));
    assert_eq!(outside.calls(), 1);
}

#[tokio::test]
async fn what_it_costs_beyond_the_reservation_is_recorded_and_not_paid() {
    let store = Arc::new(MemoryEventStore::new());
    let gate = gate_on(store.clone(), &ManualClock::default());
    gate.submit(action("p1"), Context::new(), &Outside::that(Does::Succeeds(130))).await.unwrap();
    assert_eq!(
        last_event(&*store, "p1").await["succeeded"]["overrun"],
        serde_json::to_value(usd(30)).unwrap()
    );
    assert_eq!(Balance::read(&*store).await.paid.get("p1"), Some(&100));
    let free = action_of("look", "p2");
    gate.submit(free, Context::new(), &Outside::that(Does::Succeeds(5))).await.unwrap();
    assert_eq!(
        last_event(&*store, "p2").await["succeeded"]["overrun"],
        serde_json::to_value(usd(5)).unwrap()
    );
    assert_eq!(Balance::read(&*store).await.paid.get("p2"), None);
}

#[tokio::test]
async fn a_permit_expires_and_gives_its_money_back() {
    let store = Arc::new(MemoryEventStore::new());
    let clock = ManualClock::default();
    let gate = gate_on(store.clone(), &clock);
    let outside = Outside::that(Does::Succeeds(60));
    let in_time = gate.authorize(action("p1"), Context::new()).await.unwrap();
    let too_late = gate.authorize(action("p2"), Context::new()).await.unwrap();
    clock.advance(Duration::from_secs(60));
    gate.perform(in_time, &outside).await.unwrap();
    clock.advance(Duration::from_millis(1));
    let expired = gate.perform(too_late, &outside).await.unwrap_err();
    assert!(matches!(expired, GateError::Expired { id } if id.as_str() == "p2"));
    assert_eq!(history(&*store, "p2").await, ["action.permitted.v1", "action.expired.v1"]);
    assert!(Balance::read(&*store).await.held.is_empty());
    let again = gate.submit(action("p2"), Context::new(), &outside).await.unwrap_err();
    assert!(matches!(again, GateError::Expired { .. }));
    assert_eq!(outside.calls(), 1);
}

#[tokio::test]
async fn another_writer_at_the_books_only_costs_another_try() {
    let store = Mortal::new(Arc::default(), None);
    let gate = gate_on(store.clone(), &ManualClock::default());
    store.interfere("theirs-1");
    let permit = gate.authorize(action("p1"), Context::new()).await.unwrap();
    store.interfere("theirs-2");
    let outside = Outside::that(Does::Succeeds(60));
    // The attempt does not touch the books; the outcome conflicts with what was written beside it.
    gate.perform(permit, &outside).await.unwrap();
    let balance = Balance::read(&*store).await;
    assert_eq!(balance.paid.get("p1"), Some(&60));
    assert_eq!(balance.held.keys().collect::<Vec<_>>(), ["theirs-1", "theirs-2"]);
    assert_eq!((outside.calls(), history(&*store, "p1").await.len()), (1, 3));
    assert_eq!(store.appends(), 4, "two appends, a conflict, and the attempt");
}

#[tokio::test]
async fn an_output_that_is_too_large_is_dropped_and_the_effect_still_counts() {
    let store = Arc::new(MemoryEventStore::new());
    let gate = gate_on(store.clone(), &ManualClock::default());
    let outside = Outside::that(Does::TooMuch);
    let invalid = gate.submit(action("p1"), Context::new(), &outside).await.unwrap_err();
    assert!(matches!(invalid, GateError::Invalid(_)));
    let again = gate.submit(action("p1"), Context::new(), &outside).await.unwrap();
    assert_eq!((again.outcome.output, again.replayed, outside.effects("p1")), (json!(null), true, 1));
    assert_eq!(Balance::read(&*store).await.paid.get("p1"), Some(&60));
}

#[tokio::test]
async fn nothing_is_done_when_the_decision_cannot_be_recorded() {
    let store = Mortal::new(Arc::default(), Some((0, crate::gate_world::Loss::Before)));
    let gate = gate_on(store.clone(), &ManualClock::default());
    let outside = Outside::that(Does::Succeeds(60));
    let failed = gate.submit(action("p1"), Context::new(), &outside).await.unwrap_err();
    assert!(matches!(failed, GateError::Append(_)));
    assert_eq!((outside.calls(), store.head().await.unwrap()), (0, Position::START));
}

#[tokio::test]
async fn the_state_of_an_action_can_be_asked_for() {
    let gate = gate_on(Arc::new(MemoryEventStore::new()), &ManualClock::default());
    assert_eq!(gate.status(&"p1".parse().unwrap()).await.unwrap(), None);
    gate.submit(action("p1"), Context::new(), &Outside::that(Does::Succeeds(60))).await.unwrap();
    let status = gate.status(&"p1".parse().unwrap()).await.unwrap().unwrap();
    assert!(matches!(status.state, ActionState::Succeeded(_)));
    assert_eq!((status.attempts, status.digest), (1, action("p1").digest()));
}
