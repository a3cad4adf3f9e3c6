//! Erasing: what goes, and what must stay.

use futures_util::FutureExt as _;

use super::*;
use crate::event::AppendError;

/// What an event is after it was erased.
fn blank(event: &RecordedEvent) -> RecordedEvent {
    event.clone().into_erased()
}

/// The events of `stream` up to and with `up_to` blanked, all others as they were.
fn expected(before: &[RecordedEvent], name: &str, up_to: u64) -> Vec<RecordedEvent> {
    let erased = |event: &&RecordedEvent| event.stream == stream(name) && event.version.get() <= up_to;
    before.iter().map(|event| if erased(&event) { blank(event) } else { event.clone() }).collect()
}

/// Batches in which streams `a` and `b` alternate: 15 events of `a`, 5 of `b`.
async fn fill(store: &Store) {
    for round in 0..5 {
        let names = [format!("{round}.1"), format!("{round}.2"), format!("{round}.3")];
        let [first, second, third] = names.each_ref().map(String::as_str);
        let both = Batch::new()
            .with(write("a", ExpectedVersion::Any, &[first, second]))
            .with(write("b", ExpectedVersion::Any, &["between"]))
            .with(write("a", ExpectedVersion::Any, &[third]));
        store.append(both).await.unwrap();
    }
}

async fn erase(store: &Store, name: &str, up_to: u64) -> u64 {
    soon("the erasure", store.erase(&stream(name), Version::new(up_to))).await.unwrap()
}

/// Payload and kind go; everything else about the event, and every other event, stays.
pub async fn erases_content_and_kind_and_nothing_else(store: Store) {
    fill(&store).await;
    let before = everything(&store, 100).await;
    assert_eq!(erase(&store, "a", 7).await, 7);
    let after = everything(&store, 3).await;
    assert_eq!(after, expected(&before, "a", 7));
    assert_eq!(after.iter().filter(|event| event.is_erased()).count(), 7);
    assert!(after.iter().all(|event| event.payload.is_empty() == event.is_erased()));
    for name in ["a", "b"] {
        let of_stream: Vec<_> = after.iter().filter(|event| event.stream == stream(name)).cloned().collect();
        for page in [1, 4, 100] {
            assert_eq!(whole_stream(&store, &stream(name), page).await, of_stream);
        }
    }
    assert_eq!(store.head().await.unwrap().get(), before.len() as u64);
}

/// Each event is erased once, and counted once.
pub async fn erasing_again_erases_only_what_is_new(store: Store) {
    fill(&store).await;
    let before = everything(&store, 100).await;
    for (up_to, erased, all) in [(1, 1, 1), (1, 0, 1), (4, 3, 4), (2, 0, 4), (9, 5, 9), (9, 0, 9)] {
        assert_eq!(erase(&store, "a", up_to).await, erased, "up to {up_to}");
        assert_eq!(everything(&store, 100).await, expected(&before, "a", all));
    }
}

/// Beyond the end is the end; where nothing is, nothing is erased.
pub async fn erases_what_is_there_and_no_more(store: Store) {
    assert_eq!(erase(&store, "a", u64::MAX).await, 0);
    fill(&store).await;
    let before = everything(&store, 100).await;
    assert_eq!(erase(&store, "a", 0).await, 0);
    assert_eq!(erase(&store, "missing", 10).await, 0);
    assert_eq!(everything(&store, 100).await, before);
    assert_eq!(erase(&store, "b", 6).await, 5);
    assert_eq!(erase(&store, "a", u64::MAX).await, 15);
    assert_eq!(everything(&store, 100).await, before.iter().map(blank).collect::<Vec<_>>());
}

/// A stream goes on where it was.
pub async fn appends_go_on_after_erasing(store: Store) {
    store.append(batch("a", ExpectedVersion::NO_STREAM, &["1", "2"])).await.unwrap();
    assert_eq!(erase(&store, "a", u64::MAX).await, 2);
    for stale in [0, 1] {
        let refused = store.append(batch("a", exact(stale), &["x"])).await;
        assert!(
            matches!(&refused, Err(AppendError::Conflict { actual, .. }) if actual.get() == 2),
            "{refused:?}"
        );
    }
    assert_eq!(store.append(batch("a", exact(2), &["3"])).await.unwrap().last.get(), 3);
    assert_eq!(payloads(&whole_stream(&store, &stream("a"), 100).await), ["", "", "3"]);
    assert_eq!(erase(&store, "a", 3).await, 1);
    assert_eq!(store.append(batch("a", exact(3), &["4"])).await.unwrap().last.get(), 4);
    assert_eq!(payloads(&everything(&store, 100).await), ["", "", "", "4"]);
}

/// Nobody can make an event look erased.
pub async fn refuses_an_append_of_the_kind_of_erased_events(store: Store) {
    let forged = NewEvent::new(RecordedEvent::erased_kind(), Timestamp::EPOCH, Bytes::new());
    let both = batch("a", ExpectedVersion::Any, &["1"]).with_event(stream("b"), ExpectedVersion::Any, forged);
    let refused = store.append(both).await;
    assert!(matches!(refused, Err(AppendError::ReservedKind { .. })), "{refused:?}");
    assert!(everything(&store, 100).await.is_empty());
}

/// Those who come later see that there was something, and where.
pub async fn subscribers_see_erased_events_as_erased(store: Store) {
    fill(&store).await;
    assert_eq!(erase(&store, "a", 6).await, 6);
    let all = everything(&store, 100).await;
    let mut subscription = store.subscribe(Position::START).await.unwrap();
    for expected in all {
        assert_eq!(soon("an event", subscription.next()).await.unwrap(), Some(expected));
    }
    // Erasing is no event.
    erase(&store, "a", 15).await;
    assert!(subscription.next().now_or_never().is_none());
}

/// A prefix of any length, with events as large as they may be, and a dropped erasure is only unfinished.
pub async fn erases_a_long_prefix_whole(store: Store) {
    const BATCHES: usize = 5;
    const EVENTS: usize = 4_501;
    for _ in 0..BATCHES {
        let events = vec![event("x"); EVENTS];
        let write = StreamWrite::new(stream("long"), ExpectedVersion::Any, events);
        store.append(Batch::new().with(write)).await.unwrap();
    }
    for _ in 0..3 {
        let events = vec![event(vec![1; 1 << 20]); 16];
        let write = StreamWrite::new(stream("large"), ExpectedVersion::Any, events);
        store.append(Batch::new().with(write)).await.unwrap();
    }
    let all = BATCHES * EVENTS;
    // Polled once, then dropped.
    drop(store.erase(&stream("long"), Version::new(all as u64 - 1)).now_or_never());
    let begun = |events: &[RecordedEvent]| events.iter().take_while(|event| event.is_erased()).count();
    // Whatever was accepted comes before this.
    store.append(batch("end", ExpectedVersion::NO_STREAM, &["end"])).await.unwrap();
    let long = whole_stream(&store, &stream("long"), PageSize::MAX).await;
    let before = begun(&long);
    assert!(long[before..].iter().all(|event| !event.is_erased()), "erased in the middle");
    assert_eq!(erase(&store, "long", all as u64 - 1).await as usize, all - 1 - before);
    let long = whole_stream(&store, &stream("long"), PageSize::MAX).await;
    assert_eq!((begun(&long), payloads(&long[all - 1..])), (all - 1, vec!["x".to_owned()]));
    assert_eq!(erase(&store, "large", u64::MAX).await, 48);
    assert_eq!(begun(&whole_stream(&store, &stream("large"), 10).await), 48);
}

/// Writers and readers of the same stream go on, and nothing is lost or erased twice.
pub async fn erases_beside_writers_and_readers(store: Store) {
    const ROUNDS: u64 = 100;
    const ERASERS: usize = 3;
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for round in 0..ROUNDS {
                let name = round.to_string();
                let both = batch("a", exact(round), &[&name]).with(write("b", exact(round), &[&name]));
                store.append(both).await.unwrap();
            }
        }
    });
    let erasers: Vec<_> = (0..ERASERS)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut erased = 0;
                // All but the last ten, while it grows.
                while let head = store.head().await.unwrap().get()
                    && head < 2 * ROUNDS
                {
                    erased += erase(&store, "a", (head / 2).saturating_sub(10)).await;
                    for event in everything(&store, 100).await {
                        let written = (event.version.get() - 1).to_string();
                        let whole = event.is_erased() || event.payload == written;
                        assert!(whole, "{event:?}");
                        assert!(event.stream == stream("a") || !event.is_erased(), "{event:?}");
                    }
                    tokio::task::yield_now().await;
                }
                erased
            })
        })
        .collect();
    soon("the writer", writer).await.unwrap();
    let mut erased = 0;
    for eraser in erasers {
        erased += soon("an eraser", eraser).await.unwrap();
    }
    erased += erase(&store, "a", ROUNDS - 10).await;
    assert_eq!(erased, ROUNDS - 10);
    let kept: Vec<_> = whole_stream(&store, &stream("a"), 100).await.split_off(ROUNDS as usize - 10);
    let last: Vec<_> = (ROUNDS - 10..ROUNDS).map(|round| round.to_string()).collect();
    assert_eq!(payloads(&kept), last);
    assert_eq!(whole_stream(&store, &stream("b"), 100).await.len() as u64, ROUNDS);
}
