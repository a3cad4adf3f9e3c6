//! Actions that are asked for again, and counts that are full or not known.

use std::sync::Arc;
use std::time::Duration;

use daa_core::action::{ActionEvent, Context, Decision, GateError};
use daa_core::artifact::MemoryArtifacts;
use daa_core::clock::{Clock as _, ManualClock, Timestamp};
use daa_core::event::{
    Archived, Batch, EventStore, ExpectedVersion, MemoryEventStore, NewEvent, StreamWrite, Version,
};
use daa_core::id::StreamId;
use daa_rules::{Limits, Ruleset};
use serde_json::json;

use super::world::{Process, is_denied, journal, paid, payment};

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
    let clock = ManualClock::default();
    clock.advance(Duration::from_secs(1_000_000));
    (Arc::new(MemoryEventStore::new()), clock)
}

fn reason<T: std::fmt::Debug>(result: Result<T, GateError>) -> String {
    match result {
        Err(GateError::Denied { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_window_found_open_in_the_journal_may_be_tried_again_and_counts_once() {
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, OPEN);
    let lost = payment("a", "alice", "bob", 60, &json!({ "does": "lost", "found": false, "costs": 60 }));
    process.pay(lost.clone()).await.unwrap_err();
    process.engine.replace(Ruleset::from_toml(LIMITED).unwrap());
    assert!(is_denied(&process.pay(paid("b", "alice", "bob", 41)).await), "it may have taken effect");
    // The time of its permission has passed: it has to be permitted again, and does not stand in its own way.
    clock.advance(Duration::from_secs(60));
    let again = process.pay(lost.clone()).await;
    assert!(matches!(again, Err(GateError::Uncertain(_))), "{again:?}");
    assert!(is_denied(&process.pay(paid("c", "alice", "bob", 41)).await));
    process.pay(paid("d", "alice", "bob", 40)).await.unwrap();
    // It counts from when it was permitted last.
    clock.advance(Duration::from_secs(3_550));
    assert!(is_denied(&process.pay(paid("e", "alice", "bob", 1)).await));
    clock.advance(Duration::from_secs(50));
    process.pay(paid("f", "alice", "bob", 60)).await.unwrap();
}

const KNOWN: &str = r#"
[seen.recipient]
on = "payment.*"
per = ["action.params.to"]
[[rule]]
on = "payment.*"
effect = "permit"
"#;

#[tokio::test]
async fn where_no_more_can_be_seen_an_action_is_denied() {
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, KNOWN);
    let lost = payment("a", "alice", "bob", 1, &json!({ "does": "lost", "found": false }));
    process.pay(lost).await.unwrap_err();
    let counts = journal(&*store).await.into_iter().find_map(|event| match event {
        ActionEvent::Permitted { verdict, .. } => Some(verdict.counts),
        _ => None,
    });
    let [stream]: [StreamId; 1] = counts.unwrap().try_into().unwrap();
    let at = clock.now().as_millis();
    let full = (0..Limits::COUNTED).step_by(500).map(|begin| {
        let entry = |number| json!({ "action": format!("open-{number}"), "at": at, "amount": "1" });
        let entries: Vec<_> = (begin..begin + 500).map(entry).collect();
        let kept = json!({ "kept": { "first": begin == 0, "latest": at, "entries": entries } });
        NewEvent::json("rules.count.v1".parse().unwrap(), clock.now(), &kept).unwrap()
    });
    let write = StreamWrite::new(stream, ExpectedVersion::Any, full.collect());
    store.append(Batch::new().with(write)).await.unwrap();
    let reason = reason(process.pay(paid("b", "alice", "bob", 1)).await);
    assert_eq!(
        reason,
        "seen.recipient cannot count the action: seen.recipient is not known: it holds 20000 actions, and no more fit"
    );
    process.pay(paid("c", "alice", "carol", 1)).await.unwrap();
}

async fn erase(store: &dyn EventStore, action: &str) {
    let stream: StreamId = format!("action/{action}").parse().unwrap();
    store.erase(&stream, Version::new(u64::MAX)).await.unwrap();
}

#[tokio::test]
async fn a_window_over_what_was_erased_is_not_known_until_that_has_left_it() {
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, OPEN);
    process.pay(paid("a", "alice", "bob", 60)).await.unwrap();
    erase(&*store, "a").await;
    for process in [process, Process::new(store.clone(), &clock, LIMITED)] {
        process.engine.replace(Ruleset::from_toml(LIMITED).unwrap());
        let reason = reason(process.pay(paid("b", "alice", "bob", 1)).await);
        assert!(reason.contains("window.hourly is not known: what was permitted until"), "{reason}");
        assert!(reason.contains("is erased"), "{reason}");
    }
    // Also for a process that finds the window counted already.
    clock.advance(Duration::from_secs(3_599));
    let process = Process::new(store.clone(), &clock, LIMITED);
    assert!(is_denied(&process.pay(paid("c", "alice", "bob", 1)).await));
    clock.advance(Duration::from_secs(1));
    process.pay(paid("d", "alice", "bob", 100)).await.unwrap();
}

#[tokio::test]
async fn who_was_never_seen_is_not_known_once_something_was_erased() {
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, OPEN);
    process.pay(paid("a", "alice", "bob", 1)).await.unwrap();
    process.pay(paid("b", "alice", "carol", 1)).await.unwrap();
    erase(&*store, "a").await;
    clock.advance(Duration::from_secs(100));
    let rules = r#"
[seen.recipient]
on = "payment.*"
per = ["action.params.to"]
[[rule]]
on = "payment.*"
when = "has(seen.recipient) && seen.recipient >= 100"
effect = "permit"
"#;
    let process = Process::new(store.clone(), &clock, rules);
    process.pay(paid("c", "alice", "carol", 1)).await.unwrap();
    let reason = reason(process.pay(paid("d", "alice", "bob", 1)).await);
    assert!(reason.contains("seen.recipient is not known: what was permitted until"), "{reason}");
}

#[tokio::test]
async fn what_is_archived_counts() {
    let (inner, clock) = world();
    let artifacts = Arc::new(MemoryArtifacts::new());
    let store = Arc::new(Archived::new(inner.clone(), artifacts, Arc::new(clock.clone())));
    let process = Process::new(store.clone(), &clock, OPEN);
    process.pay(paid("a", "alice", "bob", 60)).await.unwrap();
    store.archive(store.head().await.unwrap()).await.unwrap();
    assert!(
        inner.read_stream(&"action/a".parse().unwrap(), Version::EMPTY, Default::default()).await.unwrap()[0]
            .is_erased()
    );
    process.engine.replace(Ruleset::from_toml(LIMITED).unwrap());
    assert!(is_denied(&process.pay(paid("b", "alice", "bob", 41)).await));
    process.pay(paid("c", "alice", "bob", 40)).await.unwrap();
}

#[tokio::test]
async fn what_was_counted_before_it_was_erased_stays_counted_and_the_window_known() {
    let (store, clock) = world();
    let process = Process::new(store.clone(), &clock, &LIMITED.replace("1h", "30 days"));
    process.pay(paid("a", "alice", "bob", 60)).await.unwrap();
    // While it runs, it follows the journal.
    clock.advance(Duration::from_secs(7_200));
    process.pay(paid("b", "bob", "alice", 1)).await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    erase(&*store, "a").await;
    let process = Process::new(store.clone(), &clock, &LIMITED.replace("1h", "30 days"));
    assert!(is_denied(&process.pay(paid("c", "alice", "bob", 41)).await));
    process.pay(paid("d", "alice", "bob", 40)).await.unwrap();
}

#[tokio::test]
async fn what_others_permit_under_other_rules_is_counted_before_long() {
    let (store, clock) = world();
    let limited = Process::new(store.clone(), &clock, &LIMITED.replace("1h", "3h"));
    let open = Process::new(store.clone(), &clock, OPEN);
    limited.pay(paid("a", "bob", "alice", 1)).await.unwrap();
    clock.advance(Duration::from_secs(7_200));
    let lost = payment("b", "alice", "bob", 60, &json!({ "does": "lost", "found": true, "costs": 30 }));
    open.pay(lost).await.unwrap_err();
    let followed = async || {
        limited.pay(paid(&format!("f-{}", clock.now().as_millis()), "bob", "alice", 1)).await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    followed().await;
    assert!(is_denied(&limited.pay(paid("c", "alice", "bob", 41)).await));
    // What it cost in the end is found too.
    open.gate.reconcile(&"b".parse().unwrap(), &super::world::Scripted).await.unwrap();
    clock.advance(Duration::from_secs(3_600));
    followed().await;
    assert!(is_denied(&limited.pay(paid("d", "alice", "bob", 71)).await));
    limited.pay(paid("e", "alice", "bob", 70)).await.unwrap();
}

/// Facts of what is counted are asked for, however far behind the rule they stand.
#[tokio::test]
async fn a_fact_that_only_what_was_seen_needs_is_asked_for() {
    use daa_rules::{Provided, Providers, RulesEngine};
    #[derive(Debug)]
    struct Fixed(Timestamp);
    #[async_trait::async_trait]
    impl daa_rules::ContextProvider for Fixed {
        async fn provide(
            &self,
            _: &daa_core::action::Request<'_>,
        ) -> Result<Provided, Box<dyn std::error::Error + Send + Sync>> {
            Ok(Provided::new("north", self.0))
        }
    }
    let rules = r#"
[context]
region = "string"
[provided]
region = { provider = "atlas", max_age = "1h" }
[seen.region]
on = "transfer"
per = ["context.region"]
[window.strange]
on = "payment.*"
when = "!has(seen.region)"
span = "1h"
[[rule]]
on = "payment.*"
when = "window.strange < 1"
effect = "permit"
"#;
    let (store, clock) = world();
    let providers = Providers::new(Arc::new(clock.clone())).with("atlas", Arc::new(Fixed(clock.now())));
    let engine = RulesEngine::new(Ruleset::from_toml(rules).unwrap())
        .with_memory(store.clone())
        .with_providers(providers);
    let gate = daa_core::action::Gate::builder(store.clone(), Arc::new(clock.clone()))
        .with_policy(Arc::new(engine))
        .with_treasury(Arc::new(super::world::DeepPockets))
        .build();
    gate.submit(paid("a", "alice", "bob", 1), Context::new(), &super::world::Scripted).await.unwrap();
    let events = journal(&*store).await;
    let Some(ActionEvent::Permitted { verdict, .. }) = events.first() else { panic!("{events:?}") };
    assert_eq!(verdict.decision, Decision::Permit);
    assert_eq!(verdict.given.fact("context.region"), Some(&json!("north")));
    assert_eq!(verdict.given.fact("seen.region.problem"), None);
}
