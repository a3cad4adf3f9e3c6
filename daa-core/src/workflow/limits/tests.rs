use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::event::{MemoryEventStore, Position};

const NOW: Timestamp = Timestamp::from_millis(1);

fn key() -> LimitKey {
    LimitKey::new("key").unwrap()
}

fn take(book: &LimitBook, holder: &str, taken: &mut Vec<Taken>) -> Option<Room> {
    book.acquire(&key(), &Limit::at_once("key", NonZeroU32::MIN), holder, NOW, taken)
}

fn acquired(holder: &str) -> [(LimitKey, Vec<LimitEvent>); 1] {
    [(key(), vec![LimitEvent::Acquired(holder.to_owned())])]
}

fn released(holder: &str) -> [(LimitKey, Vec<LimitEvent>); 1] {
    [(key(), vec![LimitEvent::Released(holder.to_owned())])]
}

fn stage(book: &LimitBook, taken: &[Taken], changes: [(LimitKey, Vec<LimitEvent>); 1]) -> Option<Staged> {
    book.stage(taken, changes, NOW).unwrap()?.pop()
}

async fn append(store: &MemoryEventStore, write: StreamWrite) {
    store.append(Batch::new().with(write)).await.unwrap();
}

/// Takes a place, and makes it durable.
async fn taken(
    book: &LimitBook,
    store: &MemoryEventStore,
    limit: &Limit,
    holder: &str,
    now: Timestamp,
) -> Room {
    let mut taken = Vec::new();
    let room = loop {
        match book.acquire(&key(), limit, holder, now, &mut taken) {
            Some(room) => break room,
            None => book.read(store, &key()).await.unwrap(),
        }
    };
    if room == Room::Granted {
        let staged = book.stage(&taken, acquired(holder), now).unwrap().unwrap().pop().unwrap();
        append(store, staged.write.clone()).await;
        book.confirm(&staged, now);
        book.compact(store, &key(), now).await;
    }
    room
}

async fn given_back(book: &LimitBook, store: &MemoryEventStore, holder: &str) {
    let staged = stage(book, &[], released(holder)).unwrap();
    append(store, staged.write.clone()).await;
    book.confirm(&staged, NOW);
}

fn rate(count: u32, secs: u64) -> Limit {
    let rate = Rate::new(NonZeroU32::new(count).unwrap(), Duration::from_secs(secs));
    Limit { at_once: None, ..Limit::at_once("key", NonZeroU32::MIN) }.with_rate(rate)
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + secs * 1_000)
}

#[tokio::test]
async fn a_place_rests_on_what_was_read_when_it_was_taken() {
    let store = MemoryEventStore::new();
    let (ours, theirs) = (LimitBook::default(), LimitBook::default());
    for book in [&ours, &theirs] {
        book.read(&store, &key()).await.unwrap();
    }
    let (mut mine, mut other) = (Vec::new(), Vec::new());
    assert_eq!(take(&ours, "mine", &mut mine), Some(Room::Granted));
    assert_eq!(take(&theirs, "other", &mut other), Some(Room::Granted));
    append(&store, stage(&theirs, &other, acquired("other")).unwrap().write).await;
    // Somebody else in our process reads that: what was taken before must not be written as if it were new.
    ours.read(&store, &key()).await.unwrap();
    assert!(stage(&ours, &mine, acquired("mine")).is_none());
    mine.iter().for_each(|taken| ours.withdraw(taken));
    ours.read(&store, &key()).await.unwrap();
    assert_eq!(take(&ours, "mine", &mut mine), Some(Room::Full { until: None }));
}

#[tokio::test]
async fn a_write_of_ours_that_was_read_before_it_was_confirmed_counts_once() {
    let store = MemoryEventStore::new();
    let book = LimitBook::default();
    book.read(&store, &key()).await.unwrap();
    let mut taken = Vec::new();
    take(&book, "a", &mut taken);
    let staged = stage(&book, &taken, acquired("a")).unwrap();
    append(&store, staged.write.clone()).await;
    book.read(&store, &key()).await.unwrap();
    book.confirm(&staged, NOW);
    append(&store, stage(&book, &[], released("a")).unwrap().write).await;
    // The log tells of it; were our own write counted twice, it would seem to be known.
    let log = store.read_all(Position::START, PageSize::default()).await.unwrap();
    for event in &log {
        book.follow(event).unwrap();
    }
    assert!(book.is_stale(&key()));
    book.read(&store, &key()).await.unwrap();
    assert_eq!(take(&book, "b", &mut taken), Some(Room::Granted));
    assert_eq!(book.freed(&key()), 1);
}

#[tokio::test]
async fn a_key_with_two_rates_keeps_to_both() {
    let store = MemoryEventStore::new();
    let book = LimitBook::default();
    let (short, long) = (rate(1, 1), rate(3, 3_600));
    assert_eq!(taken(&book, &store, &long, "a", at(0)).await, Room::Granted);
    assert_eq!(taken(&book, &store, &short, "b", at(10)).await, Room::Granted);
    assert_eq!(taken(&book, &store, &short, "c", at(20)).await, Room::Granted);
    // Whoever asks, and whether they have just begun: three were taken within the hour.
    for book in [book, LimitBook::default()] {
        assert_eq!(taken(&book, &store, &short, "d", at(20)).await, Room::Full { until: Some(at(21)) });
        assert_eq!(taken(&book, &store, &long, "d", at(30)).await, Room::Full { until: Some(at(3_600)) });
    }
    let book = LimitBook::default();
    assert_eq!(taken(&book, &store, &short, "d", at(100)).await, Room::Granted);
    // Four count: of these, two have to be past.
    assert_eq!(taken(&book, &store, &long, "e", at(200)).await, Room::Full { until: Some(at(3_610)) });
    assert_eq!(taken(&book, &store, &long, "e", at(3_609)).await, Room::Full { until: Some(at(3_610)) });
    assert_eq!(taken(&book, &store, &long, "e", at(3_610)).await, Room::Granted);
}

async fn live(store: &MemoryEventStore) -> usize {
    let mut all: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = all.last().map_or(Position::START, |event| event.position);
        let page = store.read_all(after, PageSize::default()).await.unwrap();
        if page.is_empty() {
            return all.iter().filter(|event| !event.is_erased()).count();
        }
        all.extend(page);
    }
}

#[tokio::test]
async fn ten_thousand_takes_leave_few_events_and_the_same_room() {
    let store = MemoryEventStore::new();
    let book = LimitBook::default();
    let (limit, hourly) = (Limit::at_once("key", NonZeroU32::new(2).unwrap()), rate(20, 3_600));
    let mut most = 0;
    for number in 0..10_000_u64 {
        let holder = format!("h{number}");
        // A few are also counted by the hour.
        let limit = if number % 1_000 == 0 { &hourly } else { &limit };
        assert_eq!(taken(&book, &store, limit, &holder, at(number * 600)).await, Room::Granted);
        if number > 0 {
            given_back(&book, &store, &format!("h{}", number - 1)).await;
        }
        if number % 100 == 0 {
            most = most.max(live(&store).await);
        }
    }
    assert!(most <= 300, "{most} events at a time");
    let fresh = LimitBook::default();
    let now = at(9_999 * 600);
    for book in [&book, &fresh] {
        book.read(&store, &key()).await.unwrap();
        // One is held, and six were taken within the hour.
        let full = book.acquire(&key(), &Limit::at_once("key", NonZeroU32::MIN), "z", now, &mut Vec::new());
        assert_eq!(full, Some(Room::Full { until: None }));
        let full = book.acquire(&key(), &rate(6, 3_600), "z", now, &mut Vec::new());
        assert_eq!(full, Some(Room::Full { until: Some(at(9_994 * 600 + 3_600)) }));
        assert_eq!(book.acquire(&key(), &rate(7, 3_600), "z", now, &mut Vec::new()), Some(Room::Granted));
    }
}

#[tokio::test]
async fn events_of_earlier_versions_and_a_sum_that_nobody_erased_behind_are_read() {
    let store = MemoryEventStore::new();
    let event = |json: &str| {
        NewEvent::json(kind(), NOW, &serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap()
    };
    let sum = r#"{"sum":{"holders":["b"],"rate":{"count":2,"per":"1m"},"first":1000,"gaps":[500]}}"#;
    let events = vec![event(r#"{"acquired":"a"}"#), event(r#"{"released":"a"}"#), event(sum)];
    let stream = LimitBook::stream(&key()).unwrap();
    append(&store, StreamWrite::new(stream, ExpectedVersion::Any, events)).await;
    let book = LimitBook::default();
    book.read(&store, &key()).await.unwrap();
    let now = Timestamp::from_millis(60_999);
    let room = book.acquire(&key(), &rate(2, 60), "c", now, &mut Vec::new());
    assert_eq!(room, Some(Room::Full { until: Some(Timestamp::from_millis(61_000)) }));
    assert_eq!(take(&book, "c", &mut Vec::new()), Some(Room::Full { until: None }), "b holds it");
}

#[tokio::test]
async fn keys_that_are_not_used_are_dropped_and_read_again() {
    let store = MemoryEventStore::new();
    let book = LimitBook::default();
    let one = Limit::at_once("key", NonZeroU32::MIN);
    assert_eq!(taken(&book, &store, &one, "a", NOW).await, Room::Granted);
    let mut pending = Vec::new();
    let other = LimitKey::new("other").unwrap();
    book.read(&store, &other).await.unwrap();
    assert_eq!(book.acquire(&other, &one, "p", NOW, &mut pending), Some(Room::Granted));
    for number in 0..3 * MAX_KEYS {
        book.read(&store, &LimitKey::new(format!("k{number}")).unwrap()).await.unwrap();
        assert!(book.keys().by_key.len() <= MAX_KEYS);
    }
    assert!(!book.keys().by_key.contains_key(&key()));
    assert!(book.is_stale(&key()));
    assert_eq!(taken(&book, &store, &one, "b", NOW).await, Room::Full { until: None });
    // What is not durable yet is known nowhere else.
    assert_eq!(book.acquire(&other, &one, "q", NOW, &mut Vec::new()), Some(Room::Full { until: None }));
}

#[tokio::test]
async fn a_place_that_nobody_made_durable_is_given_back() {
    let store = MemoryEventStore::new();
    let book = Arc::new(LimitBook::default());
    book.read(&store, &key()).await.unwrap();
    let mut takes = Takes::new(book.clone());
    assert_eq!(take(&book, "a", &mut takes.taken), Some(Room::Granted));
    drop(takes);
    book.read(&store, &key()).await.unwrap();
    assert_eq!(take(&book, "b", &mut Vec::new()), Some(Room::Granted));
}

#[tokio::test]
async fn a_place_that_was_read_before_it_was_confirmed_counts_once() {
    let two = Limit::at_once("key", NonZeroU32::new(2).unwrap());
    for limit in [two, rate(2, 3_600)] {
        let book = LimitBook::default();
        let store = MemoryEventStore::new();
        book.read(&store, &key()).await.unwrap();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        assert_eq!(book.acquire(&key(), &limit, "ours", NOW, &mut ours), Some(Room::Granted));
        let staged = stage(&book, &ours, acquired("ours")).unwrap();
        append(&store, staged.write.clone()).await;
        book.read(&store, &key()).await.unwrap();
        assert_eq!(book.acquire(&key(), &limit, "theirs", NOW, &mut theirs), Some(Room::Granted));
        let third = book.acquire(&key(), &limit, "third", NOW, &mut theirs);
        assert!(matches!(third, Some(Room::Full { .. })), "{third:?}");
    }
}
