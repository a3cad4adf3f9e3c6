//! Following: from history to live.

use futures_util::FutureExt as _;

use super::*;
use crate::event::Subscription;

async fn take(subscription: &mut Subscription, count: usize) -> Vec<RecordedEvent> {
    let mut events = Vec::with_capacity(count);
    for _ in 0..count {
        let event = soon("an event", subscription.next()).await.unwrap();
        events.push(event.expect("the store is open"));
    }
    events
}

/// What was there comes first, then what comes; also when it starts in the middle.
pub async fn subscription_goes_from_history_to_live_without_a_seam(store: Store) {
    store.append(batch("a", ExpectedVersion::Any, &["1", "2", "3"])).await.unwrap();
    let mut from_start = store.subscribe(Position::START).await.unwrap();
    let mut from_middle = store.subscribe(Position::new(2)).await.unwrap();
    assert_eq!(payloads(&take(&mut from_start, 3).await), ["1", "2", "3"]);
    assert!(from_start.next().now_or_never().is_none(), "an event out of nothing");
    store.append(batch("b", ExpectedVersion::Any, &["4"])).await.unwrap();
    assert_eq!(payloads(&take(&mut from_start, 1).await), ["4"]);
    assert_eq!(from_start.position().get(), 4);
    store.append(batch("a", ExpectedVersion::Any, &["5", "6"])).await.unwrap();
    assert_eq!(payloads(&take(&mut from_middle, 4).await), ["3", "4", "5", "6"]);
    assert_eq!(payloads(&take(&mut from_start, 2).await), ["5", "6"]);
}

/// Subscribers that come at any time see the one order, wholly and once.
pub async fn subscriptions_under_concurrent_writers_see_everything_once_in_one_order(store: Store) {
    const WRITERS: usize = 4;
    const BATCHES: usize = 60;
    let total = WRITERS * BATCHES * 2;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..BATCHES {
                    let payload = format!("{writer}.{round}");
                    let both = Batch::new()
                        .with(write(&format!("own/{writer}"), exact(round as u64), &[&payload]))
                        .with(write("shared", ExpectedVersion::Any, &[&payload]));
                    store.append(both).await.unwrap();
                }
            })
        })
        .collect();
    let mut subscribers = Vec::new();
    for at in 0..6 {
        // Each starts a little later, in the middle of the writing.
        while store.head().await.unwrap().get() < at * 20 {
            tokio::task::yield_now().await;
        }
        let mut subscription = store.subscribe(Position::START).await.unwrap();
        subscribers.push(tokio::spawn(async move { take(&mut subscription, total).await }));
    }
    for writer in writers {
        soon("a writer", writer).await.unwrap();
    }
    let all = everything(&store, PageSize::MAX).await;
    assert_eq!(all.len(), total);
    for subscriber in subscribers {
        assert_eq!(soon("a subscriber", subscriber).await.unwrap(), all);
    }
}

/// A start behind the head is legal, and waits.
pub async fn subscription_from_the_future_waits_for_it(store: Store) {
    let mut subscription = store.subscribe(Position::new(2)).await.unwrap();
    store.append(batch("a", ExpectedVersion::Any, &["1", "2"])).await.unwrap();
    assert!(subscription.next().now_or_never().is_none(), "an event from before the start");
    store.append(batch("a", ExpectedVersion::Any, &["3"])).await.unwrap();
    assert_eq!(payloads(&take(&mut subscription, 1).await), ["3"]);
}

/// Nobody waits for a subscriber.
pub async fn a_slow_subscriber_delays_no_append_and_misses_nothing(store: Store) {
    const EVENTS: usize = 3_000;
    store.append(batch("a", ExpectedVersion::Any, &["0"])).await.unwrap();
    let mut slow = store.subscribe(Position::START).await.unwrap();
    take(&mut slow, 1).await;
    for first in (1..EVENTS).step_by(20) {
        let names: Vec<String> = (first..EVENTS.min(first + 20)).map(|at| at.to_string()).collect();
        let payloads: Vec<&str> = names.iter().map(String::as_str).collect();
        soon("an append", store.append(batch("a", ExpectedVersion::Any, &payloads))).await.unwrap();
    }
    let rest = payloads(&take(&mut slow, EVENTS - 1).await);
    assert_eq!(rest, (1..EVENTS).map(|at| at.to_string()).collect::<Vec<_>>());
}

/// A wait that is given up, at any moment, takes no event with it.
pub async fn a_cancelled_wait_loses_no_event(store: Store) {
    let mut subscription = store.subscribe(Position::START).await.unwrap();
    let mut seen = Vec::new();
    for round in 0..30_u64 {
        store.append(batch("a", exact(round), &["x"])).await.unwrap();
        if let Some(event) = subscription.next().now_or_never() {
            seen.push(event.unwrap().unwrap());
        }
    }
    let missing = 30 - seen.len();
    seen.extend(take(&mut subscription, missing).await);
    assert_eq!(seen, everything(&store, 100).await);
}
