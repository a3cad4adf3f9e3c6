//! Bounds, health and the end.

use super::super::{BusError, Message, Overflow, Subscriber};
use super::{
    Bus, assert_silent, message, options, publish, soon, subscribe, take, take_text, take_texts, text, topic,
};

/// One is slow, the other is not.
pub async fn a_full_queue_keeps_nothing_from_others(bus: Bus) {
    let slow = options("t").with_capacity(1).with_overflow(Overflow::DropNewest);
    let _slow = subscribe(&bus, slow).await;
    let mut quick = subscribe(&bus, options("t")).await;
    let expected: Vec<String> = (0..10).map(|number: i32| number.to_string()).collect();
    for payload in &expected {
        publish(&bus, "t", payload).await;
    }
    assert_eq!(take_texts(&mut *quick, 10).await, expected);
}

/// The next one comes when one was answered.
pub async fn a_subscriber_holds_no_more_than_it_may(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("t").with_max_in_flight(2)).await;
    for payload in ["1", "2", "3", "4"] {
        publish(&bus, "t", payload).await;
    }
    let (first, second) = (take(&mut *subscriber).await, take(&mut *subscriber).await);
    assert_silent(&mut *subscriber).await;
    first.ack().await.unwrap();
    let third = take(&mut *subscriber).await;
    assert_eq!(text(&third), "3");
    assert_silent(&mut *subscriber).await;
    drop(second);
    third.ack().await.unwrap();
    let mut rest = take_texts(&mut *subscriber, 2).await;
    rest.sort();
    assert_eq!(rest, ["2", "4"]);
}

/// Before it reaches anybody.
pub async fn what_is_out_of_bounds_is_refused(bus: Bus) {
    let mut subscriber = subscribe(&bus, options(">")).await;
    let large = bus.publish(Message::new(topic("t"), vec![0; super::super::MAX_PAYLOAD + 1])).await;
    assert!(matches!(large, Err(BusError::TooLarge { .. })), "got {large:?}");
    let empty = bus.publish(message("a..b", "1")).await;
    assert!(matches!(empty, Err(BusError::EmptyTopicPart { .. })), "got {empty:?}");
    let largest = Message::new(topic("t"), vec![7; super::super::MAX_PAYLOAD])
        .with_header("a", &"x".repeat(super::super::MAX_HEADER_BYTES - 1))
        .unwrap();
    super::send(&bus, largest.clone()).await;
    let delivery = take(&mut *subscriber).await;
    assert!(delivery.message() == &largest, "the largest message is delivered whole");
    delivery.ack().await.unwrap();
}

/// And a closed one is not.
pub async fn a_working_bus_is_ready(bus: Bus) {
    let health = bus.health().await;
    assert!(health.is_ready() && health.is_live(), "{health:?}");
    bus.close().await.unwrap();
    let health = bus.health().await;
    assert!(!health.is_ready() && !health.is_live(), "{health:?}");
}

/// Subscribers get what only this process holds, and then the end.
pub async fn a_closed_bus_takes_nothing(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("t")).await;
    publish(&bus, "t", "1").await;
    bus.close().await.unwrap();
    let late = bus.publish(message("t", "2")).await;
    assert!(matches!(late, Err(BusError::Closed)), "got {late:?}");
    let late = bus.subscribe(options("t")).await;
    assert!(matches!(late, Err(BusError::Closed)), "got {late:?}");
    if !bus.capabilities().durable {
        assert_eq!(take_text(&mut *subscriber).await, "1");
    }
    while let Some(delivery) = soon("the end", subscriber.next()).await.unwrap() {
        drop(delivery);
    }
}
