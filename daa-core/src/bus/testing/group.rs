//! Groups and their members.

use std::collections::BTreeSet;

use super::super::{BusError, Subscriber};
use super::{A_WHILE, Bus, grouped, options, publish, soon, subscribe, take, take_text, take_texts, text};

/// Two groups: each sees all, and no two members the same.
pub async fn one_member_of_each_group_gets_a_message(bus: Bus) {
    let mut red_1 = subscribe(&bus, grouped("work.>", "red")).await;
    let mut red_2 = subscribe(&bus, grouped("work.>", "red")).await;
    let mut blue = subscribe(&bus, grouped("work.>", "blue")).await;
    let expected: BTreeSet<String> = (0..20).map(|number: i32| number.to_string()).collect();
    for payload in &expected {
        publish(&bus, "work.item", payload).await;
    }
    let mut seen = BTreeSet::new();
    while seen.len() < expected.len() {
        let next = soon("a message", async {
            tokio::select! { next = red_1.next() => next, next = red_2.next() => next }
        });
        let delivery = next.await.unwrap().unwrap();
        assert!(seen.insert(text(&delivery)), "a message went to two members");
        delivery.ack().await.unwrap();
    }
    assert_eq!(seen, expected);
    let nothing_more = tokio::time::timeout(A_WHILE, async {
        tokio::select! { next = red_1.next() => next, next = red_2.next() => next }
    });
    assert!(nothing_more.await.is_err(), "a message came twice");
    assert_eq!(take_texts(&mut *blue, 20).await.into_iter().collect::<BTreeSet<_>>(), expected);
}

/// Another pattern, or another number of attempts.
pub async fn a_group_refuses_members_that_ask_for_something_else(bus: Bus) {
    let group = grouped("work.a", "g");
    let _member = subscribe(&bus, group.clone()).await;
    for other in [grouped("work.b", "g"), group.with_max_attempts(17)] {
        let refused = bus.subscribe(other).await;
        assert!(matches!(refused, Err(BusError::GroupMismatch { .. })), "got {refused:?}");
    }
}

/// What it held unanswered, and what is published later.
pub async fn a_leaving_member_leaves_its_messages_to_the_group(bus: Bus) {
    let group = grouped("work", "g");
    let mut leaver = subscribe(&bus, group.clone()).await;
    publish(&bus, "work", "1").await;
    let held = take(&mut *leaver).await;
    let mut stayer = subscribe(&bus, group).await;
    drop(leaver);
    drop(held);
    assert_eq!(take_text(&mut *stayer).await, "1");
    publish(&bus, "work", "2").await;
    assert_eq!(take_text(&mut *stayer).await, "2");
}

/// Beyond its last member on a durable bus, and not otherwise.
pub async fn a_group_lasts_as_long_as_the_bus_says(bus: Bus) {
    drop(subscribe(&bus, grouped("work", "g")).await);
    publish(&bus, "work", "1").await;
    let mut later = subscribe(&bus, grouped("work", "g")).await;
    publish(&bus, "work", "2").await;
    if bus.capabilities().durable {
        assert_eq!(take_text(&mut *later).await, "1");
    }
    assert_eq!(take_text(&mut *later).await, "2");
}

/// Its members learn it, its messages are gone, and its name is free.
pub async fn a_removed_group_ends(bus: Bus) {
    let mut member = subscribe(&bus, grouped("work", "g")).await;
    let mut other = subscribe(&bus, options("work")).await;
    publish(&bus, "work", "1").await;
    take(&mut *member).await.ack().await.unwrap();
    bus.remove_group(&"g".parse().unwrap()).await.unwrap();
    assert!(soon("the end", member.next()).await.unwrap().is_none());
    let again = bus.remove_group(&"g".parse().unwrap()).await;
    assert!(matches!(again, Err(BusError::NoGroup { .. })), "got {again:?}");
    publish(&bus, "work", "2").await;
    let mut anew = subscribe(&bus, grouped("*", "g")).await;
    publish(&bus, "work", "3").await;
    assert_eq!(take_text(&mut *anew).await, "3");
    assert_eq!(take_texts(&mut *other, 3).await, ["1", "2", "3"]);
}
