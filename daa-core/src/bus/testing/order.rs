//! Messages of one key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::{Backoff, Delivery, SubscribeOptions, Subscriber};
use super::{
    A_WHILE, Bus, assert_silent, grouped, keyed, options, send, soon, subscribe, take, take_text, text,
};

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

/// What it holds keeps its place until it is answered: no other member gets the next one of the key.
pub async fn a_leaving_member_leaves_the_order_of_its_key(bus: Bus) {
    let backoff = Duration::from_millis(300);
    let group = grouped("t", "g").with_backoff(Backoff::constant(backoff));
    let first = subscribe(&bus, group.clone()).await;
    for number in 1..=3 {
        send(&bus, keyed("t", "k", number.to_string())).await;
    }
    let (held, second) = replace(&bus, first, &group).await;
    assert_eq!(text(&held), "1");
    held.ack().await.unwrap();
    let (held, mut third) = replace(&bus, second, &group).await;
    assert_eq!(text(&held), "2");
    let (refused, attempt) = (Instant::now(), held.attempt());
    held.nack("no").await.unwrap();
    let again = take(&mut *third).await;
    assert!(refused.elapsed() >= backoff, "{:?}", refused.elapsed());
    assert_eq!((text(&again), again.attempt()), ("2".to_owned(), attempt + 1));
    again.ack().await.unwrap();
    assert_eq!(take_text(&mut *third).await, "3");
}

/// A member leaves with a message that it has not answered: that message, and the member that is there instead.
async fn replace(
    bus: &Bus,
    mut leaver: Box<dyn Subscriber>,
    group: &SubscribeOptions,
) -> (Delivery, Box<dyn Subscriber>) {
    let held = take(&mut *leaver).await;
    let mut stayer = subscribe(bus, group.clone()).await;
    drop(leaver);
    assert_silent(&mut *stayer).await;
    (held, stayer)
}

/// Each acknowledges one message, and drops what else it got.
pub async fn members_that_come_and_go_leave_the_order_of_keys(bus: Bus) {
    let group = grouped("t", "g").with_max_attempts(1000);
    let mut member = subscribe(&bus, group.clone()).await;
    let keys = ["a", "b", "c", "d", "e"];
    for number in 0..8 {
        for key in keys {
            send(&bus, keyed("t", key, number.to_string())).await;
        }
    }
    let mut done: BTreeMap<String, u32> = BTreeMap::new();
    while done.values().sum::<u32>() < 40 {
        let mut held = vec![take(&mut *member).await];
        while let Ok(next) = tokio::time::timeout(A_WHILE / 20, member.next()).await {
            held.push(next.unwrap().unwrap());
        }
        for delivery in &held {
            let key = delivery.message().key().unwrap().as_str();
            assert_eq!(text(delivery), done.get(key).unwrap_or(&0).to_string(), "key {key}");
        }
        let first = held.remove(0);
        *done.entry(first.message().key().unwrap().to_string()).or_default() += 1;
        first.ack().await.unwrap();
        let next = subscribe(&bus, group.clone()).await;
        drop(std::mem::replace(&mut member, next));
        drop(held);
    }
}
