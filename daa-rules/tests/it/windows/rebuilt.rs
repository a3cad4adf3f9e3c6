//! What a window counts survives: other rules, other processes, its own late beginning, and the length of its stream.

use std::sync::Arc;
use std::time::Duration;

use daa_core::action::{ActionEvent, Context};
use daa_core::clock::ManualClock;
use daa_core::event::{EventStore, MemoryEventStore, PageSize, Position};
use daa_rules::Ruleset;
use serde_json::json;

use super::world::{Process, Scripted, is_denied, journal, paid, payment};

const OPEN: &str = "[[rule]]\non = '*'\neffect = 'permit'\n";
const LIMITED: &str = r#"
[window.hourly]
on = "payment.*"
sum = "action.cost"
per = ["action.actor"]
span = "1h"
[[rule]]
on = "payment.*"
when = 'window.hourly + action.cost <= money("0.000100 USDC")'
effect = "permit"
"#;

fn world() -> (Arc<MemoryEventStore>, ManualClock) {
    (Arc::new(MemoryEventStore::new()), ManualClock::default())
}

#[tokio::test]
async fn a_new_window_counts_what_was_permitted_before_it() {
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, OPEN);
    process.pay(paid("a", "alice", "bob", 60)).await.unwrap();
    process.pay(payment("b", "alice", "bob", 50, &json!({ "does": "ok", "costs": 10 }))).await.unwrap();
    process.pay(payment("c", "alice", "bob", 90, &json!({ "does": "fail" }))).await.unwrap_err();
    clock.advance(Duration::from_secs(1_800));
    process.engine.replace(Ruleset::from_toml(LIMITED).unwrap());
    assert!(is_denied(&process.pay(paid("d", "alice", "bob", 31)).await));
    process.pay(paid("e", "bob", "alice", 100)).await.unwrap();
    process.pay(paid("f", "alice", "bob", 30)).await.unwrap();
    clock.advance(Duration::from_secs(1_800));
    assert!(is_denied(&process.pay(paid("g", "alice", "bob", 71)).await));
    process.pay(paid("h", "alice", "bob", 70)).await.unwrap();
}

#[tokio::test]
async fn what_was_permitted_while_other_rules_governed_counts_when_the_window_is_back() {
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, LIMITED);
    process.pay(paid("a", "alice", "bob", 20)).await.unwrap();
    process.engine.replace(Ruleset::from_toml(OPEN).unwrap());
    process.pay(paid("b", "alice", "bob", 900)).await.unwrap();
    process.engine.replace(Ruleset::from_toml(LIMITED).unwrap());
    assert!(is_denied(&process.pay(paid("c", "alice", "bob", 1)).await));
    clock.advance(Duration::from_secs(3_600));
    process.pay(paid("d", "alice", "bob", 100)).await.unwrap();
}

#[tokio::test]
async fn what_was_counted_under_a_window_is_given_back_whatever_governs_by_then() {
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, LIMITED);
    let lost = payment("a", "alice", "bob", 100, &json!({ "does": "lost", "found": false }));
    process.pay(lost).await.unwrap_err();
    assert!(is_denied(&process.pay(paid("b", "alice", "bob", 1)).await));
    process.engine.replace(Ruleset::from_toml(OPEN).unwrap());
    process.gate.reconcile(&"a".parse().unwrap(), &Scripted).await.unwrap();
    process.engine.replace(Ruleset::from_toml(LIMITED).unwrap());
    process.pay(paid("c", "alice", "bob", 100)).await.unwrap();
}

#[tokio::test]
async fn a_long_stream_is_kept_short_and_says_the_same_to_the_next_process() {
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, LIMITED);
    let mut total = 0;
    for number in 0..400u32 {
        clock.advance(Duration::from_secs(600));
        process.pay(paid(&format!("pay-{number}"), "alice", "bob", 10)).await.unwrap();
        total += 1;
    }
    assert_eq!(total, 400);
    let all = store.read_all(Position::START, PageSize::new(10_000)).await.unwrap();
    let counts = all.iter().filter(|event| event.stream.as_str().starts_with("rules.window/"));
    let (erased, left): (Vec<_>, Vec<_>) = counts.partition(|event| event.is_erased());
    assert!(erased.len() > 600 && left.len() < 160, "{} erased, {} left", erased.len(), left.len());
    // Six payments of ten are within the hour, and the first of them leaves it now.
    for process in [process, Process::new(store.clone(), &clock, LIMITED)] {
        assert!(is_denied(&process.pay(paid("big", "alice", "bob", 41)).await));
    }
    let process = Process::new(store.clone(), &clock, LIMITED);
    process.pay(paid("fits", "alice", "bob", 40)).await.unwrap();
    assert!(is_denied(&process.pay(paid("more", "alice", "bob", 1)).await));
}

#[tokio::test]
async fn a_slow_clock_does_not_bring_back_what_has_left_the_window() {
    let (store, fast) = world();
    let slow = ManualClock::default();
    fast.advance(Duration::from_secs(7_200));
    let (ahead, behind) =
        (Process::new(store.clone(), &fast, LIMITED), Process::new(store.clone(), &slow, LIMITED));
    ahead.pay(paid("a", "alice", "bob", 60)).await.unwrap();
    // By its own clock, two hours lie between them; by that of the stream, nothing.
    assert!(is_denied(&behind.pay(paid("b", "alice", "bob", 41)).await));
    behind.pay(paid("c", "alice", "bob", 40)).await.unwrap();
    fast.advance(Duration::from_secs(3_599));
    assert!(is_denied(&ahead.pay(paid("d", "alice", "bob", 1)).await));
    fast.advance(Duration::from_secs(1));
    ahead.pay(paid("e", "alice", "bob", 100)).await.unwrap();
}

const NEW_ADDRESSES: &str = r#"
name = "new addresses"
[seen.recipient]
on = "payment.*"
per = ["action.params.to"]
[window.unknown]
on = "payment.*"
when = "!(has(seen.recipient) && seen.recipient >= 86400)"
sum = "action.cost"
span = "24h"
[[rule]]
id = "known"
on = "payment.*"
when = "has(seen.recipient) && seen.recipient >= 86400"
effect = "permit"
[[rule]]
id = "new"
on = "payment.*"
when = 'window.unknown + action.cost <= money("0.000500 USDC")'
effect = "permit"
"#;

#[tokio::test]
async fn no_more_than_so_much_to_new_addresses_in_any_day() {
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, NEW_ADDRESSES);
    process.pay(paid("a", "alice", "bob", 300)).await.unwrap();
    process.pay(paid("b", "bob", "carol", 200)).await.unwrap();
    assert!(is_denied(&process.pay(paid("c", "alice", "bob", 1)).await), "known for too short a time");
    assert!(is_denied(&process.pay(paid("d", "alice", "dave", 1)).await));
    clock.advance(Duration::from_secs(86_400));
    process.pay(paid("e", "alice", "bob", 900)).await.unwrap();
    process.pay(paid("f", "alice", "dave", 500)).await.unwrap();
    assert!(is_denied(&process.pay(paid("g", "alice", "erin", 1)).await));
    // Whom a payment never reached is not known.
    let failed = payment("h", "alice", "carol", 900, &json!({ "does": "fail" }));
    process.pay(failed).await.unwrap_err();
    clock.advance(Duration::from_secs(86_400));
    let nobody = payment("i", "alice", "frank", 400, &json!({ "does": "fail" }));
    process.pay(nobody).await.unwrap_err();
    clock.advance(Duration::from_secs(86_400));
    assert!(is_denied(&process.pay(paid("j", "alice", "frank", 501)).await));
    process.pay(paid("k", "alice", "frank", 500)).await.unwrap();
}

#[tokio::test]
async fn what_was_seen_before_anybody_looked_was_seen() {
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, OPEN);
    process.pay(paid("a", "alice", "bob", 300)).await.unwrap();
    clock.advance(Duration::from_secs(86_400));
    process.pay(paid("b", "alice", "bob", 400)).await.unwrap();
    process.pay(paid("c", "alice", "carol", 400)).await.unwrap();
    let process = Process::new(store.clone(), &clock, NEW_ADDRESSES);
    process.pay(paid("d", "alice", "bob", 900)).await.unwrap();
    assert!(is_denied(&process.pay(paid("e", "alice", "dave", 101)).await));
    process.pay(paid("f", "alice", "dave", 100)).await.unwrap();
}

#[tokio::test]
async fn a_decision_says_what_it_was_given_and_can_be_made_again_from_that() {
    use daa_core::action::{Policy as _, Request};
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, LIMITED);
    process.pay(paid("a", "alice", "bob", 60)).await.unwrap();
    process.pay(paid("b", "alice", "bob", 41)).await.unwrap_err();
    for event in journal(&*store).await {
        let (ActionEvent::Permitted { action, context, verdict, .. }
        | ActionEvent::Withheld { action, context, verdict, .. }) = event
        else {
            continue;
        };
        let spent = if action.id().as_str() == "a" { "0 USDC" } else { "0.00006 USDC" };
        assert_eq!(verdict.given, Context::new().with("window.hourly", spent));
        let request = Request::new(&action, &context, daa_core::clock::Timestamp::EPOCH);
        let again = process.engine.decide(&request.with_given(&verdict.given));
        assert_eq!((again.decision, again.counts), (verdict.decision, verdict.counts));
    }
}

#[tokio::test]
async fn without_a_memory_nothing_is_permitted_that_would_have_to_be_counted() {
    use daa_core::action::{Decision, Policy as _, Request};
    let engine = daa_rules::RulesEngine::new(Ruleset::from_toml(&format!("{LIMITED}{OPEN}")).unwrap());
    let action = paid("a", "alice", "bob", 1);
    let verdict = engine.decide(&Request::new(&action, &Context::new(), daa_core::clock::Timestamp::EPOCH));
    let Decision::Deny { reason } = verdict.decision else { panic!("{verdict:?}") };
    assert_eq!(
        reason,
        "window.hourly cannot count the action: window.hourly is not known: nobody gathered it"
    );
}
