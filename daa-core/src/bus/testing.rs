//! The conformance suite of [`EventBus`]: one function for each behaviour of the contract.
//!
//! [`event_bus_conformance!`](crate::event_bus_conformance) makes a test of each, so that a failure has a name:
//!
//! ```
//! # mod example {
//! use std::sync::Arc;
//! use daa_core::bus::{EventBus, InProcessBus};
//! use daa_core::clock::SystemClock;
//!
//! /// A fresh bus, and whatever must live as long as it: a name space of a broker that is cleared when dropped.
//! async fn fresh() -> ((), Arc<dyn EventBus>) {
//!     ((), Arc::new(InProcessBus::new(Arc::new(SystemClock::new()))))
//! }
//!
//! daa_core::event_bus_conformance!(fresh().await);
//! # }
//! ```
//!
//! Every function takes a fresh bus and panics when a promise is broken. They need a multi-threaded tokio runtime with
//! timers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a suite fails by panicking")]

mod bounds;
mod deliver;
mod group;
mod order;
mod replay;
mod request;
mod settle;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use self::bounds::*;
pub use self::deliver::*;
pub use self::group::*;
pub use self::order::*;
pub use self::replay::*;
pub use self::request::*;
pub use self::settle::*;
use super::{Backoff, DeadLetter, Delivery, EventBus, Message, SubscribeOptions, Subscriber};
use crate::id::Topic;

/// The bus under test.
pub type Bus = Arc<dyn EventBus>;

/// Makes a `#[tokio::test]` of each behaviour. The expression is evaluated once per test, and yields
/// `(guard, Arc<dyn EventBus>)`; the guard is dropped after the bus.
#[macro_export]
macro_rules! event_bus_conformance {
    ($fresh:expr) => {
        $crate::event_bus_conformance! { @tests $fresh;
            every_subscription_gets_each_matching_message
            one_publishers_order_is_kept
            everything_of_a_message_arrives
            a_message_published_again_is_delivered_once
            many_publishers_and_members_lose_nothing
            a_lapsed_message_is_dropped
            one_member_of_each_group_gets_a_message
            a_group_refuses_members_that_ask_for_something_else
            a_leaving_member_leaves_its_messages_to_the_group
            a_group_lasts_as_long_as_the_bus_says
            a_removed_group_ends
            messages_of_a_key_are_worked_on_one_after_the_other
            a_refused_message_holds_back_its_key
            a_group_keeps_the_order_of_each_key
            a_leaving_member_leaves_the_order_of_its_key
            members_that_come_and_go_leave_the_order_of_keys
            a_refused_message_comes_again
            a_refused_message_waits_longer_each_time
            a_refused_message_keeps_nothing_from_others
            a_dropped_delivery_comes_again
            a_message_refused_too_often_becomes_a_dead_letter
            a_message_that_drops_its_consumers_becomes_a_dead_letter
            a_rejected_message_becomes_a_dead_letter_at_once
            dead_letters_come_in_pages
            pages_of_large_dead_letters_are_bounded
            a_dead_letter_can_be_driven_again
            a_dead_letter_of_a_group_goes_back_to_that_group_alone
            a_request_gets_its_reply
            requests_at_the_same_time_get_their_own_replies
            a_request_that_nobody_hears_fails
            a_request_that_came_too_late_is_not_delivered
            history_is_read_from_any_position
            a_full_queue_keeps_nothing_from_others
            a_subscriber_holds_no_more_than_it_may
            what_is_out_of_bounds_is_refused
            a_working_bus_is_ready
            a_closed_bus_takes_nothing
        }
    };
    (@tests $fresh:expr; $($behaviour:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            let (_guard, bus) = $fresh;
            $crate::bus::testing::$behaviour(bus).await;
        }
    )*};
}

/// How long the suite waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it waits for what must not come.
const A_WHILE: Duration = Duration::from_millis(200);

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn options(pattern: &str) -> SubscribeOptions {
    SubscribeOptions::new(pattern.parse().unwrap()).with_backoff(Backoff::constant(Duration::ZERO))
}

fn grouped(pattern: &str, group: &str) -> SubscribeOptions {
    options(pattern).with_group(group.parse().unwrap())
}

fn message(on: &str, payload: impl Into<String>) -> Message {
    Message::new(topic(on), payload.into())
}

fn keyed(on: &str, key: &str, payload: impl Into<String>) -> Message {
    message(on, payload).with_key(key.parse().unwrap())
}

async fn subscribe(bus: &Bus, options: SubscribeOptions) -> Box<dyn Subscriber> {
    soon("a subscription", bus.subscribe(options)).await.unwrap()
}

async fn send(bus: &Bus, message: Message) {
    let _ = soon("a confirmation", bus.publish(message)).await.unwrap();
}

async fn publish(bus: &Bus, on: &str, payload: &str) {
    send(bus, message(on, payload)).await;
}

async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

async fn take(subscriber: &mut dyn Subscriber) -> Delivery {
    soon("a message", subscriber.next()).await.unwrap().unwrap_or_else(|| panic!("the subscription ended"))
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

async fn take_texts(subscriber: &mut dyn Subscriber, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(take_text(subscriber).await);
    }
    texts
}

/// Nothing comes for a while.
async fn assert_silent(subscriber: &mut dyn Subscriber) {
    if let Ok(next) = tokio::time::timeout(A_WHILE, subscriber.next()).await {
        panic!("nothing was to come, not {next:?}");
    }
}

/// All dead letters, once there are so many.
async fn dead_letters(bus: &Bus, count: usize) -> Vec<DeadLetter> {
    let poll = async {
        loop {
            let letters = bus.dead_letters(None, 100).await.unwrap();
            if letters.len() >= count {
                return letters;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let letters = soon("dead letters", poll).await;
    assert_eq!(letters.len(), count, "{letters:?}");
    letters
}
