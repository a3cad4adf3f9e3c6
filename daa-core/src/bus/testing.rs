//! The conformance suite of [`EventBus`].
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test suite fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, join, select};

use super::{BusError, Delivery, EventBus, Message, Overflow, SubscribeOptions, Subscriber};
use crate::clock::{Clock, SystemClock};
use crate::id::Topic;

/// How long the suite waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs every check against fresh buses. A bus over a shared broker must come with a name space of its own each
/// time.
///
/// # Panics
/// When the bus breaks its contract.
pub async fn conformance<F>(fresh: F)
where
    F: AsyncFn() -> Arc<dyn EventBus>,
{
    every_subscription_gets_each_matching_message(&*fresh().await).await;
    one_member_of_each_group_gets_a_message(&*fresh().await).await;
    a_group_refuses_members_that_ask_for_something_else(&*fresh().await).await;
    a_leaving_member_leaves_its_messages_to_the_group(&*fresh().await).await;
    one_publishers_order_is_kept(&*fresh().await).await;
    a_refused_message_comes_again(&*fresh().await).await;
    a_dropped_delivery_comes_again(&*fresh().await).await;
    a_message_refused_too_often_becomes_a_dead_letter(&*fresh().await).await;
    a_dead_letter_can_be_driven_again(&*fresh().await).await;
    a_request_gets_its_reply(&*fresh().await).await;
    a_request_that_nobody_hears_fails(&*fresh().await).await;
    a_full_queue_keeps_nothing_from_others(&*fresh().await).await;
    what_is_out_of_bounds_is_refused(&*fresh().await).await;
    a_closed_bus_hands_out_what_it_holds(&*fresh().await).await;
}

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn options(pattern: &str) -> SubscribeOptions {
    SubscribeOptions::new(pattern.parse().unwrap()).with_redelivery_delay(Duration::ZERO)
}

fn message(on: &str, payload: impl Into<String>) -> Message {
    Message::new(topic(on), payload.into())
}

async fn publish(bus: &dyn EventBus, on: &str, payload: &str) {
    let _ = bus.publish(message(on, payload)).await.unwrap();
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let clock = SystemClock::new();
    match select(std::pin::pin!(future), clock.sleep(PATIENCE)).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("nothing within {PATIENCE:?}: {what}"),
    }
}

async fn take(subscriber: &mut dyn Subscriber) -> Delivery {
    in_time("a message", subscriber.next()).await.unwrap().expect_delivery()
}

trait ExpectDelivery {
    fn expect_delivery(self) -> Delivery;
}

impl ExpectDelivery for Option<Delivery> {
    fn expect_delivery(self) -> Delivery {
        self.unwrap_or_else(|| panic!("the subscription ended"))
    }
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message().payload().to_vec()).unwrap()
}

async fn take_text(subscriber: &mut dyn Subscriber) -> String {
    let delivery = take(subscriber).await;
    let text = text(&delivery);
    delivery.ack().await.unwrap();
    text
}

async fn every_subscription_gets_each_matching_message(bus: &dyn EventBus) {
    let mut exact = bus.subscribe(options("a.b.c")).await.unwrap();
    let mut one = bus.subscribe(options("a.*.c")).await.unwrap();
    let mut rest = bus.subscribe(options("a.>")).await.unwrap();
    for (on, payload) in [("a.b.c", "1"), ("a.x.c", "2"), ("a.x.d", "3"), ("b", "4"), ("a.b.c", "5")] {
        publish(bus, on, payload).await;
    }
    assert_eq!([take_text(&mut *exact).await, take_text(&mut *exact).await], ["1", "5"]);
    assert_eq!(
        [take_text(&mut *one).await, take_text(&mut *one).await, take_text(&mut *one).await],
        ["1", "2", "5"]
    );
    for expected in ["1", "2", "3", "5"] {
        assert_eq!(take_text(&mut *rest).await, expected);
    }
}

async fn one_member_of_each_group_gets_a_message(bus: &dyn EventBus) {
    let red = options("work.>").with_group("red".parse().unwrap());
    let blue = options("work.>").with_group("blue".parse().unwrap());
    let (mut red_1, mut red_2) =
        (bus.subscribe(red.clone()).await.unwrap(), bus.subscribe(red).await.unwrap());
    let mut blue = bus.subscribe(blue).await.unwrap();
    for number in 0..10 {
        publish(bus, "work.item", &number.to_string()).await;
    }
    let expected: BTreeSet<String> = (0..10).map(|number: i32| number.to_string()).collect();
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        for member in [&mut red_1, &mut red_2] {
            assert!(seen.insert(take_text(&mut **member).await), "a message went to two members");
        }
    }
    assert_eq!(seen, expected);
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        seen.insert(take_text(&mut *blue).await);
    }
    assert_eq!(seen, expected);
}

async fn a_group_refuses_members_that_ask_for_something_else(bus: &dyn EventBus) {
    let group = options("work.a").with_group("g".parse().unwrap());
    let _member = bus.subscribe(group).await.unwrap();
    let other = bus.subscribe(options("work.b").with_group("g".parse().unwrap())).await;
    assert!(matches!(other, Err(BusError::GroupMismatch { .. })), "got {other:?}");
}

async fn a_leaving_member_leaves_its_messages_to_the_group(bus: &dyn EventBus) {
    let group = options("work").with_group("g".parse().unwrap());
    let mut leaver = bus.subscribe(group.clone()).await.unwrap();
    publish(bus, "work", "1").await;
    let held = take(&mut *leaver).await;
    let mut stayer = bus.subscribe(group).await.unwrap();
    drop(leaver);
    drop(held);
    assert_eq!(take_text(&mut *stayer).await, "1");
    publish(bus, "work", "2").await;
    assert_eq!(take_text(&mut *stayer).await, "2");
}

async fn one_publishers_order_is_kept(bus: &dyn EventBus) {
    let mut subscriber = bus.subscribe(options("t")).await.unwrap();
    for number in 0..100 {
        publish(bus, "t", &number.to_string()).await;
    }
    for number in 0..100 {
        assert_eq!(take_text(&mut *subscriber).await, number.to_string());
    }
}

async fn a_refused_message_comes_again(bus: &dyn EventBus) {
    let mut subscriber = bus.subscribe(options("t")).await.unwrap();
    publish(bus, "t", "1").await;
    let first = take(&mut *subscriber).await;
    assert_eq!(first.attempt(), 1);
    first.nack("not now").await.unwrap();
    let second = take(&mut *subscriber).await;
    assert_eq!((text(&second), second.attempt()), ("1".to_owned(), 2));
    second.ack().await.unwrap();
    publish(bus, "t", "2").await;
    assert_eq!(take_text(&mut *subscriber).await, "2", "what was acknowledged must not come again");
}

async fn a_dropped_delivery_comes_again(bus: &dyn EventBus) {
    let mut subscriber = bus.subscribe(options("t")).await.unwrap();
    publish(bus, "t", "1").await;
    drop(take(&mut *subscriber).await);
    let again = take(&mut *subscriber).await;
    assert_eq!((text(&again), again.attempt()), ("1".to_owned(), 2));
    again.ack().await.unwrap();
}

async fn bury(bus: &dyn EventBus, subscriber: &mut dyn Subscriber, payload: &str) {
    publish(bus, "t", payload).await;
    for attempt in 1..=2 {
        take(subscriber).await.nack(format!("failed {payload} {attempt}")).await.unwrap();
    }
}

async fn a_message_refused_too_often_becomes_a_dead_letter(bus: &dyn EventBus) {
    let mut subscriber = bus.subscribe(options("t").with_max_attempts(2)).await.unwrap();
    bury(bus, &mut *subscriber, "1").await;
    bury(bus, &mut *subscriber, "2").await;
    let letters = bus.dead_letters(None, 10).await.unwrap();
    let [first, second] = &*letters else { panic!("two dead letters, not {letters:?}") };
    assert_eq!((&*first.error, first.attempts), ("failed 1 2", 2));
    assert_eq!(first.message, message("t", "1"));
    assert_eq!(bus.dead_letters(Some(first.id), 10).await.unwrap(), std::slice::from_ref(second));
    assert_eq!(bus.dead_letters(None, 1).await.unwrap(), std::slice::from_ref(first));
}

async fn a_dead_letter_can_be_driven_again(bus: &dyn EventBus) {
    let mut subscriber = bus.subscribe(options("t").with_max_attempts(2)).await.unwrap();
    bury(bus, &mut *subscriber, "1").await;
    let letters = bus.dead_letters(None, 10).await.unwrap();
    let [letter] = &*letters else { panic!("one dead letter, not {letters:?}") };
    bus.redrive(letter.id).await.unwrap();
    assert_eq!(bus.dead_letters(None, 10).await.unwrap(), []);
    let again = take(&mut *subscriber).await;
    assert_eq!((text(&again), again.attempt()), ("1".to_owned(), 1));
    again.ack().await.unwrap();
    let gone = bus.redrive(letter.id).await;
    assert!(matches!(gone, Err(BusError::NoDeadLetter { id }) if id == letter.id), "got {gone:?}");
}

async fn a_request_gets_its_reply(bus: &dyn EventBus) {
    let mut server = bus.subscribe(options("double")).await.unwrap();
    let serve = async {
        let delivery = take(&mut *server).await;
        let number: u32 = text(&delivery).parse().unwrap();
        bus.reply(delivery.message(), (2 * number).to_string().into()).await.unwrap();
        delivery.ack().await.unwrap();
    };
    let ask = bus.request(topic("double"), Bytes::from("21"), PATIENCE);
    let (reply, ()) = join(ask, serve).await;
    assert_eq!(reply.unwrap().payload(), "42");
    let unasked = bus.reply(&message("double", "1"), Bytes::new()).await;
    assert!(matches!(unasked, Err(BusError::NotARequest { .. })), "got {unasked:?}");
}

async fn a_request_that_nobody_hears_fails(bus: &dyn EventBus) {
    let reply = bus.request(topic("void"), Bytes::new(), Duration::from_millis(10)).await;
    assert!(matches!(reply, Err(BusError::NoResponder { .. } | BusError::NoReply { .. })), "got {reply:?}");
    let _deaf = bus.subscribe(options("deaf")).await.unwrap();
    let reply = bus.request(topic("deaf"), Bytes::new(), Duration::from_millis(10)).await;
    assert!(matches!(reply, Err(BusError::NoReply { .. })), "got {reply:?}");
}

async fn a_full_queue_keeps_nothing_from_others(bus: &dyn EventBus) {
    let slow = options("t").with_capacity(1).with_overflow(Overflow::DropNewest);
    let _slow = bus.subscribe(slow).await.unwrap();
    let mut quick = bus.subscribe(options("t")).await.unwrap();
    for number in 0..10 {
        publish(bus, "t", &number.to_string()).await;
    }
    for number in 0..10 {
        assert_eq!(take_text(&mut *quick).await, number.to_string());
    }
}

async fn what_is_out_of_bounds_is_refused(bus: &dyn EventBus) {
    let large = bus.publish(Message::new(topic("t"), vec![0; super::MAX_PAYLOAD + 1])).await;
    assert!(matches!(large, Err(BusError::TooLarge { .. })), "got {large:?}");
    let empty = bus.publish(message("a..b", "1")).await;
    assert!(matches!(empty, Err(BusError::EmptyTopicPart { .. })), "got {empty:?}");
}

async fn a_closed_bus_hands_out_what_it_holds(bus: &dyn EventBus) {
    let mut subscriber = bus.subscribe(options("t")).await.unwrap();
    publish(bus, "t", "1").await;
    bus.close().await.unwrap();
    let late = bus.publish(message("t", "2")).await;
    assert!(matches!(late, Err(BusError::Closed)), "got {late:?}");
    assert_eq!(take_text(&mut *subscriber).await, "1");
    assert!(in_time("the end", subscriber.next()).await.unwrap().is_none());
}
