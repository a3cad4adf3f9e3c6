//! The bus within the process: the suite that every bus runs, and what only this one can show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daa_core::bus::{
    Backoff, BusError, EventBus, HeaderError, Headers, InProcessBus, InProcessOptions, Message, Overflow,
    PatternError, Receipt, SubscribeOptions, Subscriber, TopicPattern,
};
use daa_core::clock::{Clock, ManualClock, SystemClock};
use futures_util::FutureExt;
use proptest::prelude::*;

use crate::resilience::support::idle;

const SECOND: Duration = Duration::from_secs(1);

fn bus(clock: &ManualClock) -> InProcessBus {
    InProcessBus::new(Arc::new(clock.clone()))
}

fn options(pattern: &str) -> SubscribeOptions {
    SubscribeOptions::new(pattern.parse().unwrap())
}

fn message(topic: &str, payload: &str) -> Message {
    Message::new(topic.parse().unwrap(), payload.to_owned())
}

async fn receipts(bus: &InProcessBus, topic: &str, payload: &str) -> Vec<Receipt> {
    let published = bus.publish(message(topic, payload)).await.unwrap();
    published.receipts().iter().map(|&(_, receipt)| receipt).collect()
}

/// Takes and acknowledges all that is there now.
async fn drain(subscriber: &mut dyn Subscriber) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(Ok(Some(delivery))) = subscriber.next().now_or_never() {
        seen.push(String::from_utf8(delivery.message().payload().to_vec()).unwrap());
        delivery.ack().await.unwrap();
    }
    seen
}

mod conformance {
    use super::*;

    fn fresh() -> ((), Arc<dyn EventBus>) {
        ((), Arc::new(InProcessBus::new(Arc::new(SystemClock::new()))))
    }

    daa_core::event_bus_conformance!(fresh());
}

mod conformance_with_history {
    use super::*;

    fn fresh() -> ((), Arc<dyn EventBus>) {
        let options = InProcessOptions::new().with_history(100).with_remembered_ids(0);
        ((), Arc::new(InProcessBus::with_options(Arc::new(SystemClock::new()), options)))
    }

    daa_core::event_bus_conformance!(fresh());
}

#[tokio::test]
async fn drops_the_newest_and_counts() {
    let bus = bus(&ManualClock::default());
    let mut slow =
        bus.subscribe(options("t").with_capacity(2).with_overflow(Overflow::DropNewest)).await.unwrap();
    assert_eq!(receipts(&bus, "t", "1").await, [Receipt::Delivered { backlog: 1 }]);
    assert_eq!(receipts(&bus, "t", "2").await, [Receipt::Delivered { backlog: 2 }]);
    assert_eq!(receipts(&bus, "t", "3").await, [Receipt::DroppedNewest { dropped: 1 }]);
    assert_eq!(receipts(&bus, "t", "4").await, [Receipt::DroppedNewest { dropped: 2 }]);
    assert_eq!(bus.subscriptions()[0].dropped, 2);
    assert_eq!(drain(&mut *slow).await, ["1", "2"]);
}

#[tokio::test]
async fn drops_the_oldest_that_nobody_works_on_and_counts() {
    let bus = bus(&ManualClock::default());
    let mut slow =
        bus.subscribe(options("t").with_capacity(2).with_overflow(Overflow::DropOldest)).await.unwrap();
    for payload in ["1", "2"] {
        receipts(&bus, "t", payload).await;
    }
    let held = slow.next().await.unwrap().unwrap();
    assert_eq!(receipts(&bus, "t", "3").await, [Receipt::DroppedOldest { dropped: 1 }]);
    let also_held = slow.next().await.unwrap().unwrap();
    assert_eq!(also_held.message().payload(), "3");
    assert_eq!(receipts(&bus, "t", "4").await, [Receipt::DroppedNewest { dropped: 2 }]);
    held.ack().await.unwrap();
    assert_eq!(receipts(&bus, "t", "5").await, [Receipt::Delivered { backlog: 2 }]);
}

#[tokio::test]
async fn cuts_off_who_is_too_slow() {
    let bus = bus(&ManualClock::default());
    let mut slow =
        bus.subscribe(options("t").with_capacity(1).with_overflow(Overflow::Disconnect)).await.unwrap();
    receipts(&bus, "t", "1").await;
    assert_eq!(receipts(&bus, "t", "2").await, [Receipt::Disconnected]);
    assert!(matches!(slow.next().await, Err(BusError::Disconnected { capacity: 1 })));
    assert_eq!(receipts(&bus, "t", "3").await, []);
    assert_eq!(bus.subscriptions(), []);
}

#[tokio::test]
async fn a_publisher_waits_for_room_after_all_others_were_served() {
    let clock = ManualClock::default();
    let bus = bus(&clock);
    let block = Overflow::Block { up_to: SECOND };
    let mut slow = bus.subscribe(options("t").with_capacity(1).with_overflow(block)).await.unwrap();
    let mut quick = bus.subscribe(options("t")).await.unwrap();
    receipts(&bus, "t", "1").await;
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move { receipts(&bus, "t", "2").await }
    });
    idle().await;
    assert!(!publisher.is_finished());
    assert_eq!(drain(&mut *quick).await, ["1", "2"]);
    clock.advance(SECOND / 2);
    assert_eq!(drain(&mut *slow).await, ["1"]);
    assert_eq!(
        publisher.await.unwrap(),
        [Receipt::Late { waited: SECOND / 2 }, Receipt::Delivered { backlog: 2 }]
    );
    assert_eq!(drain(&mut *slow).await, ["2"]);
}

#[tokio::test]
async fn a_publisher_waits_no_longer_than_the_bound() {
    let clock = ManualClock::default();
    let bus = bus(&clock);
    let block = Overflow::Block { up_to: SECOND };
    let mut slow = bus.subscribe(options("t").with_capacity(1).with_overflow(block)).await.unwrap();
    receipts(&bus, "t", "1").await;
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish(message("t", "2")).await.unwrap() }
    });
    idle().await;
    clock.advance(SECOND);
    let published = publisher.await.unwrap();
    assert_eq!(published.receipts()[0].1, Receipt::TimedOut { waited: SECOND });
    assert_eq!((published.delivered(), published.lagging().count()), (0, 1));
    assert_eq!(drain(&mut *slow).await, ["1"]);
}

#[tokio::test]
async fn a_publisher_stops_waiting_for_a_subscriber_that_leaves() {
    let bus = bus(&ManualClock::default());
    let slow = bus.subscribe(options("t").with_capacity(1)).await.unwrap();
    receipts(&bus, "t", "1").await;
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move { receipts(&bus, "t", "2").await }
    });
    idle().await;
    drop(slow);
    assert_eq!(publisher.await.unwrap(), [Receipt::Gone]);
}

#[tokio::test]
async fn a_refused_message_comes_again_after_its_delay() {
    let clock = ManualClock::default();
    let bus = bus(&clock);
    let mut subscriber = bus.subscribe(options("t").with_backoff(Backoff::constant(SECOND))).await.unwrap();
    receipts(&bus, "t", "1").await;
    subscriber.next().await.unwrap().unwrap().nack("later").await.unwrap();
    let mut waiting = tokio::spawn(async move { subscriber.next().await.unwrap().unwrap().attempt() });
    clock.advance(SECOND - Duration::from_millis(1));
    idle().await;
    assert!((&mut waiting).now_or_never().is_none());
    clock.advance(Duration::from_millis(1));
    assert_eq!(waiting.await.unwrap(), 2);
}

#[tokio::test]
async fn what_is_refused_after_its_subscription_ended_becomes_a_dead_letter() {
    let bus = bus(&ManualClock::default());
    let mut subscriber = bus.subscribe(options("t")).await.unwrap();
    receipts(&bus, "t", "1").await;
    let held = subscriber.next().await.unwrap().unwrap();
    drop(subscriber);
    drop(held);
    let letters = bus.dead_letters(None, 10).await.unwrap();
    assert_eq!((letters.len(), &*letters[0].error), (1, "dropped without an answer"));
    let ended = bus.redrive(letters[0].id).await;
    assert!(matches!(ended, Err(BusError::SubscriptionEnded { .. })), "{ended:?}");
    assert_eq!(bus.dead_letters(None, 10).await.unwrap(), letters, "the letter is kept");
}

#[tokio::test]
async fn dead_letters_are_bounded_and_the_oldest_go_first() {
    let bus = bus(&ManualClock::default());
    let mut subscriber = bus.subscribe(options("t").with_max_attempts(1)).await.unwrap();
    for number in 0..1030 {
        receipts(&bus, "t", &number.to_string()).await;
        subscriber.next().await.unwrap().unwrap().nack("no").await.unwrap();
    }
    let letters = bus.dead_letters(None, usize::MAX).await.unwrap();
    assert_eq!((letters.len(), bus.dead_letters_lost()), (1024, 6));
    assert_eq!(letters[0].message.payload(), "6");
}

#[tokio::test]
async fn history_is_bounded_and_says_where_it_begins() {
    let options = InProcessOptions::new().with_history(3);
    let bus = InProcessBus::with_options(Arc::new(ManualClock::default()), options);
    for number in 0..5 {
        receipts(&bus, "t", &number.to_string()).await;
    }
    let page = bus.replay(&">".parse().unwrap(), None, 10).await.unwrap();
    let kept: Vec<_> =
        page.messages.iter().map(|(at, message)| (at.value(), message.payload().clone())).collect();
    assert_eq!(kept, [(3, "2".into()), (4, "3".into()), (5, "4".into())]);
    let none = bus.replay(&">".parse().unwrap(), None, 0).await.unwrap();
    assert!(none.messages.is_empty() && none.next.is_none());
}

#[tokio::test]
async fn what_did_not_reach_everybody_may_be_published_again() {
    let bus = bus(&ManualClock::default());
    let narrow = options("t").with_capacity(1).with_overflow(Overflow::DropNewest);
    let mut slow = bus.subscribe(narrow).await.unwrap();
    let named = |id: &str| message("t", id).with_id(id.parse().unwrap());
    assert_eq!(bus.publish(named("1")).await.unwrap().delivered(), 1);
    assert_eq!(bus.publish(named("2")).await.unwrap().delivered(), 0);
    assert_eq!(drain(&mut *slow).await, ["1"]);
    let again = bus.publish(named("2")).await.unwrap();
    assert_eq!((again.delivered(), again.is_duplicate()), (1, false));
    assert!(bus.publish(named("2")).await.unwrap().is_duplicate());
    assert_eq!(drain(&mut *slow).await, ["2"]);
}

#[tokio::test]
async fn so_many_ids_are_remembered_and_no_more() {
    let options = InProcessOptions::new().with_remembered_ids(2);
    let bus = InProcessBus::with_options(Arc::new(ManualClock::default()), options);
    let mut duplicates = Vec::new();
    for id in ["a", "b", "a", "c", "a", "b"] {
        let published = bus.publish(message("t", "x").with_id(id.parse().unwrap())).await.unwrap();
        duplicates.push(published.is_duplicate());
    }
    assert_eq!(duplicates, [false, false, true, false, false, false]);
}

#[tokio::test]
async fn a_message_lapses_while_it_waits_and_is_counted() {
    let clock = ManualClock::default();
    let bus = bus(&clock);
    let mut subscriber = bus.subscribe(options("t")).await.unwrap();
    let deadline = clock.now() + SECOND;
    for (payload, key) in [("1", "k"), ("2", "k"), ("3", "other")] {
        let late = message("t", payload).with_key(key.parse().unwrap());
        let late = if payload == "3" { late } else { late.with_deadline(deadline) };
        let _ = bus.publish(late).await.unwrap();
    }
    clock.advance(2 * SECOND);
    assert_eq!(drain(&mut *subscriber).await, ["3"]);
    assert_eq!((bus.subscriptions()[0].lapsed, bus.subscriptions()[0].backlog), (2, 0));
}

#[test]
fn headers_are_bounded_and_leave_the_brokers_theirs() {
    let mut headers = Headers::new();
    assert!(matches!(headers.insert("A", "1"), Err(HeaderError::Name { .. })));
    assert!(matches!(headers.insert("", "1"), Err(HeaderError::Name { .. })));
    assert!(matches!(headers.insert("nats-msg-id", "1"), Err(HeaderError::Reserved { .. })));
    assert!(matches!(headers.insert("a", "x\r\ny: z"), Err(HeaderError::Value { found: '\r', .. })));
    headers.insert("a", &"x".repeat(16_383)).unwrap();
    assert!(matches!(headers.insert("b", "1"), Err(HeaderError::TooMany { headers: 2, bytes: 16_386 })));
    headers.insert("a", "1").unwrap();
    for number in 1..64 {
        headers.insert(&format!("h{number}"), "").unwrap();
    }
    assert!(matches!(headers.insert("b", "1"), Err(HeaderError::TooMany { headers: 65, .. })));
    assert_eq!((headers.len(), headers.get("a")), (64, Some("1")));
}

#[test]
fn wildcards_do_not_see_the_inboxes_of_requests() {
    let matches = |pattern: &str, topic: &str| {
        pattern.parse::<TopicPattern>().unwrap().matches(&topic.parse().unwrap())
    };
    assert!(!matches(">", "_inbox.1"));
    assert!(!matches("*.1", "_inbox.1"));
    assert!(matches("_inbox.>", "_inbox.1"));
}

#[test]
fn refuses_patterns_that_make_no_sense() {
    let parse = |text: &str| text.parse::<TopicPattern>();
    assert!(matches!(parse(""), Err(PatternError::EmptyPart { .. })));
    assert!(matches!(parse("a..b"), Err(PatternError::EmptyPart { .. })));
    assert!(matches!(parse("a.>.b"), Err(PatternError::TailNotLast { .. })));
    assert!(matches!(parse("a.b*"), Err(PatternError::Part { .. })));
    assert!(matches!(parse(&"a".repeat(300)), Err(PatternError::TooLong { len: 300 })));
}

/// What a pattern means, said recursively.
fn matches(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        ([">"], [_, ..]) => true,
        (["*", pattern @ ..], [_, topic @ ..]) => matches(pattern, topic),
        ([literal, pattern @ ..], [part, topic @ ..]) => literal == part && matches(pattern, topic),
        _ => false,
    }
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b"]), 1..4).prop_map(|parts| parts.join("."))
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "b", "*"]);
    (prop::collection::vec(part, 1..4), any::<bool>())
        .prop_map(|(parts, tail)| parts.join(".") + if tail { ".>" } else { "" })
}

proptest! {
    #[test]
    fn patterns_mean_what_they_say(pattern in pattern(), topic in topic()) {
        let parsed: TopicPattern = pattern.parse().unwrap();
        prop_assert_eq!(parsed.to_string(), pattern.as_str());
        let expected = matches(
            &pattern.split('.').collect::<Vec<_>>(),
            &topic.split('.').collect::<Vec<_>>(),
        );
        prop_assert_eq!(parsed.matches(&topic.parse().unwrap()), expected);
    }

    /// Every subscription of its own gets every matching message, in order; of every group, exactly one member.
    #[test]
    fn everybody_gets_everything_once(
        alone in prop::collection::vec(pattern(), 0..4),
        groups in prop::collection::vec((pattern(), 1..4usize), 0..4),
        topics in prop::collection::vec(topic(), 0..30),
        takers in prop::collection::vec(any::<prop::sample::Index>(), 30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bus = bus(&ManualClock::default());
            let mut members: BTreeMap<usize, Vec<Box<dyn Subscriber>>> = BTreeMap::new();
            let mut wanted = Vec::new();
            for pattern in &alone {
                members.insert(wanted.len(), vec![bus.subscribe(options(pattern)).await.unwrap()]);
                wanted.push(pattern.clone());
            }
            for (pattern, size) in &groups {
                let name = format!("g{}", wanted.len());
                for _ in 0..*size {
                    let options = options(pattern).with_group(name.parse().unwrap());
                    members.entry(wanted.len()).or_default().push(bus.subscribe(options).await.unwrap());
                }
                wanted.push(pattern.clone());
            }
            for (number, topic) in topics.iter().enumerate() {
                let _ = bus.publish(message(topic, &number.to_string())).await.unwrap();
            }
            for (index, pattern) in wanted.iter().enumerate() {
                let parsed: TopicPattern = pattern.parse().unwrap();
                let expected: Vec<String> = topics
                    .iter()
                    .enumerate()
                    .filter(|(_, topic)| parsed.matches(&topic.parse().unwrap()))
                    .map(|(number, _)| number.to_string())
                    .collect();
                let members = members.get_mut(&index).unwrap();
                let mut seen = Vec::new();
                for taker in &takers {
                    let member = taker.get_mut(members);
                    if let Some(Ok(Some(delivery))) = member.next().now_or_never() {
                        seen.push(String::from_utf8(delivery.message().payload().to_vec()).unwrap());
                        delivery.ack().await.unwrap();
                    }
                }
                prop_assert_eq!(seen, expected);
            }
            Ok(())
        })?;
    }
}
