//! What arrives, where, and how often.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::{Deduplicated, Headers, Message, Subscriber};
use super::{
    Bus, grouped, message, options, publish, send, soon, subscribe, take, take_text, take_texts, text, topic,
};
use crate::clock::Timestamp;

/// Exact topics, `*` and `>`.
pub async fn every_subscription_gets_each_matching_message(bus: Bus) {
    let mut exact = subscribe(&bus, options("a.b.c")).await;
    let mut one = subscribe(&bus, options("a.*.c")).await;
    let mut rest = subscribe(&bus, options("a.>")).await;
    for (on, payload) in [
        ("a.b.c", "1"),
        ("a.x.c", "2"),
        ("a.x.d", "3"),
        ("b", "4"),
        ("a", "5"),
        ("a.b.c", "6"),
        ("a.end", "7"),
    ] {
        publish(&bus, on, payload).await;
    }
    assert_eq!(take_texts(&mut *exact, 2).await, ["1", "6"]);
    assert_eq!(take_texts(&mut *one, 3).await, ["1", "2", "6"]);
    assert_eq!(take_texts(&mut *rest, 5).await, ["1", "2", "3", "6", "7"]);
}

/// At every subscription.
pub async fn one_publishers_order_is_kept(bus: Bus) {
    let mut first = subscribe(&bus, options("t")).await;
    let mut second = subscribe(&bus, options(">")).await;
    let expected: Vec<String> = (0..200).map(|number: i32| number.to_string()).collect();
    for payload in &expected {
        publish(&bus, "t", payload).await;
    }
    assert_eq!(take_texts(&mut *first, 200).await, expected);
    assert_eq!(take_texts(&mut *second, 200).await, expected);
}

/// Every byte of the payload, the id, the key, and the headers.
pub async fn everything_of_a_message_arrives(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("orders/eu:1.new")).await;
    let mut headers = Headers::new();
    headers.insert("trace-id", "4bf92f3577b34da6").unwrap();
    headers.insert("note", "Grüße, ☃ and: colons").unwrap();
    headers.insert("empty", "").unwrap();
    let payload: Vec<u8> = (0..=255).collect();
    let sent = Message::new(topic("orders/eu:1.new"), payload)
        .with_id("order/17:a".parse().unwrap())
        .with_key("customer/4.b".parse().unwrap())
        .with_headers(headers)
        .with_deadline(Timestamp::from_millis(1 << 50));
    send(&bus, sent.clone()).await;
    let delivery = take(&mut *subscriber).await;
    assert_eq!((delivery.message(), delivery.attempt()), (&sent, 1));
    delivery.ack().await.unwrap();
    publish(&bus, "orders/eu:1.new", "").await;
    let bare = take(&mut *subscriber).await;
    let got = bare.message();
    assert!(got.payload().is_empty() && got.headers().is_empty() && got.key().is_none(), "{got:?}");
    bare.ack().await.unwrap();
}

/// By the bus where it can, and by [`Deduplicated`] everywhere.
pub async fn a_message_published_again_is_delivered_once(bus: Bus) {
    let plain = subscribe(&bus, options("t")).await;
    let mut subscriber = Deduplicated::new(plain, 100);
    let named = message("t", "1").with_id("one".parse().unwrap());
    let first = bus.publish(named.clone()).await.unwrap();
    assert!(!first.is_duplicate());
    let again = bus.publish(named).await.unwrap();
    assert_eq!(again.is_duplicate(), bus.capabilities().deduplicates);
    publish(&bus, "t", "2").await;
    assert_eq!(take_texts(&mut subscriber, 2).await, ["1", "2"]);
}

/// Four publishers, a group of three, and a subscription of its own.
pub async fn many_publishers_and_members_lose_nothing(bus: Bus) {
    const EACH: usize = 100;
    let mut alone = subscribe(&bus, options("load.>").with_capacity(1000)).await;
    let mut tasks = Vec::new();
    let (seen, mut all) = tokio::sync::mpsc::channel(1000);
    for _ in 0..3 {
        let mut member = subscribe(&bus, grouped("load.>", "g").with_capacity(1000)).await;
        let seen = seen.clone();
        tasks.push(tokio::spawn(async move {
            while let Ok(Some(delivery)) = member.next().await {
                let text = text(&delivery);
                delivery.ack().await.unwrap();
                seen.send(text).await.unwrap();
            }
        }));
    }
    for publisher in 0..4 {
        let bus = bus.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0..EACH {
                publish(&bus, &format!("load.{publisher}"), &format!("{publisher}-{number}")).await;
            }
        }));
    }
    let expected: BTreeSet<String> =
        (0..4).flat_map(|publisher| (0..EACH).map(move |number| format!("{publisher}-{number}"))).collect();
    let mut by_group = BTreeSet::new();
    while by_group.len() < expected.len() {
        by_group.insert(soon("a message of the group", all.recv()).await.unwrap());
    }
    let by_itself: BTreeSet<String> = take_texts(&mut *alone, 4 * EACH).await.into_iter().collect();
    assert!(by_group == expected && by_itself == expected);
    for task in tasks {
        task.abort();
    }
}

/// It is neither delivered nor a dead letter.
pub async fn a_lapsed_message_is_dropped(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("t")).await;
    send(&bus, message("t", "late").with_deadline(Timestamp::from_millis(1))).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    publish(&bus, "t", "2").await;
    assert_eq!(take_text(&mut *subscriber).await, "2");
    assert_eq!(bus.dead_letters(None, 10).await.unwrap(), []);
}
