//! Requests and replies.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};

use super::super::{BusError, Subscriber};
use super::{Bus, PATIENCE, grouped, message, options, publish, subscribe, take, take_text, text};

/// Replies to so many requests with their double.
async fn serve(bus: &Bus, server: &mut dyn Subscriber, requests: usize) {
    for _ in 0..requests {
        let delivery = take(server).await;
        let number: u32 = text(&delivery).parse().unwrap();
        assert!(delivery.message().deadline().is_some());
        bus.reply(delivery.message(), (2 * number).to_string().into()).await.unwrap();
        delivery.ack().await.unwrap();
    }
}

/// And what asked for none gets none.
pub async fn a_request_gets_its_reply(bus: Bus) {
    let mut server = subscribe(&bus, options("double")).await;
    let ask = bus.request(message("double", "21").with_header("a", "b").unwrap(), PATIENCE);
    let (reply, ()) = join(ask, serve(&bus, &mut *server, 1)).await;
    assert_eq!(reply.unwrap().payload(), "42");
    let unasked = bus.reply(&message("double", "1"), Bytes::new()).await;
    assert!(matches!(unasked, Err(BusError::NotARequest { .. })), "got {unasked:?}");
}

/// Twenty at once, at a group.
pub async fn requests_at_the_same_time_get_their_own_replies(bus: Bus) {
    let mut server = subscribe(&bus, grouped("double", "servers")).await;
    let ask = |number: u32| {
        let request = bus.request(message("double", number.to_string()), PATIENCE);
        async move { (number, request.await.unwrap()) }
    };
    let (replies, ()) = join(join_all((0..20).map(ask)), serve(&bus, &mut *server, 20)).await;
    for (number, reply) in replies {
        assert_eq!(reply.payload(), &(2 * number).to_string());
    }
}

/// Nobody subscribed, or nobody replied.
pub async fn a_request_that_nobody_hears_fails(bus: Bus) {
    let limit = Duration::from_millis(300);
    let reply = bus.request(message("void", ""), limit).await;
    assert!(matches!(reply, Err(BusError::NoResponder { .. } | BusError::NoReply { .. })), "got {reply:?}");
    let _deaf = subscribe(&bus, options("deaf")).await;
    let reply = bus.request(message("deaf", ""), limit).await;
    assert!(matches!(reply, Err(BusError::NoReply { .. })), "got {reply:?}");
}

/// Nobody waits for its reply any more.
pub async fn a_request_that_came_too_late_is_not_delivered(bus: Bus) {
    let busy = options("double").with_max_in_flight(1);
    let mut server = subscribe(&bus, busy).await;
    publish(&bus, "double", "1").await;
    let first = take(&mut *server).await;
    let reply = bus.request(message("double", "2"), Duration::from_millis(100)).await;
    assert!(matches!(reply, Err(BusError::NoReply { .. })), "got {reply:?}");
    publish(&bus, "double", "3").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    first.ack().await.unwrap();
    assert_eq!(take_text(&mut *server).await, "3");
}
