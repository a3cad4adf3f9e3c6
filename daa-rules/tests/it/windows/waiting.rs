//! What a decision, and the end of an action, wait for; and what they do not.

use std::sync::Arc;
use std::time::Duration;

use daa_core::action::Context;
use daa_core::clock::{Clock, ManualClock, Timestamp, VirtualClock};
use daa_core::event::{EventStore, MemoryEventStore, PageSize, Position};
use daa_rules::Ruleset;
use futures_util::FutureExt as _;
use tokio::task::JoinSet;

use super::held::Held;
use super::world::{Process, Scripted, is_denied, paid};

const HOURLY: &str = r#"
[window.hourly]
on = "payment.*"
sum = "action.cost"
span = "1h"
[[rule]]
on = "payment.*"
when = 'window.hourly + action.cost <= money("0.000100 USDC")'
effect = "permit"
"#;

/// Another window, which has to be counted from the journal first.
fn another() -> Ruleset {
    Ruleset::from_toml(&HOURLY.replace("hourly", "other")).unwrap()
}

async fn erased(store: &dyn EventStore) -> usize {
    let all = store.read_all(Position::START, PageSize::new(10_000)).await.unwrap();
    all.iter().filter(|event| event.is_erased()).count()
}

#[tokio::test]
async fn no_decision_waits_until_what_is_not_needed_any_more_is_erased() {
    let store = Held::new(Arc::new(MemoryEventStore::new()));
    let clock = ManualClock::default();
    let process = Process::new(store.clone(), &clock, HOURLY);
    store.hold_erasing(true);
    for number in 0..400u32 {
        clock.advance(Duration::from_secs(600));
        let paid = process.pay(paid(&format!("pay-{number}"), "alice", "bob", 10));
        paid.now_or_never().expect("it waits for the erasing").unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(erased(&*store).await, 0);
    store.hold_erasing(false);
    // Every task gets its turn many times over.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(erased(&*store).await > 600);
}

#[tokio::test]
async fn the_end_of_an_action_never_waits_for_a_window_that_is_counted_anew() {
    let store = Held::new(Arc::new(MemoryEventStore::new()));
    let clock = ManualClock::default();
    let process = Process::new(store.clone(), &clock, HOURLY);
    let permit = process.gate.authorize(paid("a", "alice", "bob", 60), Context::new()).await.unwrap();
    process.engine.replace(another());
    store.hold_reading(true);
    // Somebody asks, and waits until everything is counted.
    let asking = tokio::spawn({
        let process = process.clone();
        async move { process.pay(paid("b", "alice", "bob", 41)).await }
    });
    tokio::task::yield_now().await;
    assert!(!asking.is_finished());
    let performed = process.gate.perform(permit, &Scripted);
    performed.now_or_never().expect("the end waits for the window").unwrap();
    store.hold_reading(false);
    assert!(is_denied(&asking.await.unwrap()), "what was permitted before counts");
    process.pay(paid("c", "alice", "bob", 40)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_many_processes_on_one_window_everybody_gets_an_answer() {
    let store = Held::polite(Arc::new(MemoryEventStore::new()));
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::EPOCH));
    let mut racers = JoinSet::new();
    for number in 0..48 {
        // One each: all of them read the same, and one of them writes, in each round.
        let process = Process::on(store.clone(), clock.clone(), HOURLY);
        racers.spawn(async move { process.pay(paid(&format!("pay-{number}"), "alice", "bob", 3)).await });
    }
    let mut permitted = 0;
    while let Some(result) = racers.join_next().await {
        let result = result.unwrap();
        assert!(result.is_ok() || is_denied(&result), "{result:?}");
        permitted += u32::from(result.is_ok());
    }
    assert_eq!(permitted, 33, "not one more than fits, and not one less");
}
