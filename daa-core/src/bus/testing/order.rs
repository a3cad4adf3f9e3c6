//! Messages of one key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::{Backoff, Delivery, Subscriber};
use super::{Bus, assert_silent, grouped, keyed, options, send, soon, subscribe, take, take_text, text};

/// The second one waits for the answer to the first.
pub async fn messages_of_a_key_are_worked_on_one_after_the_other(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("t")).await;
    for number in 0..3 {
        send(&bus, keyed("t", "k", number.to_string())).await;
    }
    for number in 0..3 {
        let delivery = take(&mut *subscriber).await;
        assert_eq!(text(&delivery), number.to_string());
        assert_silent(&mut *subscriber).await;
        delivery.ack().await.unwrap();
    }
}

/// Until it is dealt with or a dead letter.
pub async fn a_refused_message_holds_back_its_key(bus: Bus) {
    let slow = Backoff::constant(Duration::from_millis(300));
    let mut subscriber = subscribe(&bus, options("t").with_backoff(slow).with_max_attempts(2)).await;
    for payload in ["1", "2"] {
        send(&bus, keyed("t", "k", payload)).await;
    }
    for attempt in 1..=2 {
        let delivery = take(&mut *subscriber).await;
        assert_eq!((text(&delivery), delivery.attempt()), ("1".to_owned(), attempt));
        delivery.nack("no").await.unwrap();
    }
    assert_eq!(take_text(&mut *subscriber).await, "2");
}

type Log = Arc<Mutex<BTreeMap<String, Vec<(u32, bool)>>>>;

/// Writes down what came, refuses every third message once, and acknowledges the others.
async fn work(delivery: Delivery, log: &Log) {
    let (key, number) = (delivery.message().key().unwrap().to_string(), text(&delivery).parse().unwrap());
    let refuse = number % 3 == 0 && delivery.attempt() == 1;
    log.lock().unwrap().entry(key).or_default().push((number, !refuse));
    if refuse {
        delivery.nack("once").await.unwrap();
    } else {
        delivery.ack().await.unwrap();
    }
}

/// Two members, five keys, and refusals in between.
pub async fn a_group_keeps_the_order_of_each_key(bus: Bus) {
    let log = Log::default();
    let members = [subscribe(&bus, grouped("t.*", "g")).await, subscribe(&bus, grouped("t.*", "g")).await];
    for number in 0..50 {
        send(&bus, keyed("t.x", &format!("k{}", number % 5), number.to_string())).await;
    }
    // Only now: with all of them waiting, the members are tempted to take several of a key.
    let members = members.map(|mut member| {
        let log = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(delivery)) = member.next().await {
                work(delivery, &log).await;
            }
        })
    });
    let done = |log: &Log| log.lock().unwrap().values().flatten().filter(|(_, done)| *done).count();
    soon("all messages", async {
        while done(&log) < 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for (key, came) in &*log.lock().unwrap() {
        let mut expected = Vec::new();
        for number in (0..50).filter(|number| key == &format!("k{}", number % 5)) {
            if number % 3 == 0 {
                expected.push((number, false));
            }
            expected.push((number, true));
        }
        assert_eq!(came, &expected, "key {key}");
    }
    for member in members {
        member.abort();
    }
}
