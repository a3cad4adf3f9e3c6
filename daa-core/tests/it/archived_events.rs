//! [`Archived`] keeps the contract of a store, and shows what it archived as if it had stayed.

mod faults;
mod model;
mod races;

use std::sync::Arc;
use std::time::Duration;

use daa_core::artifact::{Artifacts, MemoryArtifacts, NamedArtifacts};
use daa_core::clock::{ManualClock, Timestamp};
use daa_core::event::{
    ArchiveError, Archived, Batch, EventStore, ExpectedVersion, MemoryEventStore, NewEvent, PageSize,
    Position, ReadError, RecordedEvent, StreamWrite, Version,
};
use daa_core::id::StreamId;

const INDEX: &str = "archive/events";

fn over(store: Arc<dyn EventStore>, artifacts: Arc<dyn Artifacts>) -> Archived {
    Archived::new(store, artifacts, Arc::new(ManualClock::default()))
}

fn fresh() -> ((), Arc<dyn EventStore>) {
    let store = over(Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
    ((), Arc::new(store))
}

daa_core::event_store_conformance!(fresh());

fn stream(name: &str) -> StreamId {
    name.try_into().unwrap()
}

fn event(payload: &str) -> NewEvent {
    NewEvent::new("test.v1".try_into().unwrap(), Timestamp::from_millis(7), payload.to_owned().into())
}

/// Appends so many events; each says which one it is.
async fn append(store: &dyn EventStore, name: &str, events: u64) {
    let before = whole(store, name).await.len() as u64;
    let events = (before..before + events).map(|number| event(&format!("{name} {number}"))).collect();
    let expected = ExpectedVersion::Exact(Version::new(before));
    store.append(Batch::new().with(StreamWrite::new(stream(name), expected, events))).await.unwrap();
}

/// All but the index, in the order, whose positions have no gap.
async fn everything(store: &dyn EventStore, page: usize) -> Vec<RecordedEvent> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let more = store.read_all(Position::new(after), PageSize::new(page)).await.unwrap();
        if more.is_empty() {
            return events;
        }
        for event in more {
            after += 1;
            assert_eq!(event.position.get(), after, "a gap");
            if event.stream.as_str() != INDEX {
                events.push(event);
            }
        }
    }
}

async fn whole(store: &dyn EventStore, name: &str) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = Version::new(events.len() as u64);
        let more = store.read_stream(&stream(name), after, PageSize::new(100)).await.unwrap();
        if more.is_empty() {
            return events;
        }
        events.extend(more);
    }
}

fn erased(events: &[RecordedEvent]) -> usize {
    events.iter().filter(|event| event.is_erased()).count()
}

#[tokio::test]
async fn what_is_archived_is_read_as_it_was_and_its_room_is_free() {
    let (store, artifacts) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
    let archived = over(store.clone(), artifacts.clone());
    for _ in 0..4 {
        append(&archived, "a", 9).await;
        append(&archived, "b", 4).await;
    }
    let before = everything(&archived, 7).await;
    for up_to in [10, 11, 30] {
        assert_eq!(archived.archive(Position::new(up_to)).await.unwrap(), Position::new(up_to));
        for page in [1, 3, 100] {
            assert_eq!(everything(&archived, page).await, before);
        }
        assert_eq!(erased(&everything(&*store, 100).await) as u64, up_to);
        assert_eq!(whole(&archived, "b").await.len(), 16);
        assert_eq!(erased(&whole(&archived, "b").await), 0);
    }
    assert_eq!(artifacts.list().await.unwrap().len(), 3);
    // Another that knows nothing of it yet; and whoever follows from the start.
    let another = over(store.clone(), artifacts);
    assert_eq!(everything(&another, 100).await, before);
    let mut log = another.subscribe(Position::START).await.unwrap();
    for expected in &before {
        let event = log.next().await.unwrap().unwrap();
        assert_eq!(&event, expected);
    }
    append(&another, "a", 1).await;
    while log.next().await.unwrap().unwrap().stream != stream("a") {}
    drop((another, archived, store));
    assert!(log.next().await.unwrap().is_none(), "a subscription does not keep the store");
}

#[tokio::test]
async fn nothing_is_archived_where_it_frees_nothing() {
    let (store, artifacts) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
    let archived = over(store.clone(), artifacts.clone());
    let far = Position::new(u64::MAX);
    assert_eq!(archived.archive(far).await.unwrap(), Position::START);
    append(&archived, "a", 3).await;
    assert_eq!(archived.archive(far).await.unwrap(), Position::new(3));
    let head = store.head().await.unwrap();
    assert_eq!(archived.archive(far).await.unwrap(), Position::new(3), "its own index is not worth a part");
    append(&archived, "b", 2).await;
    archived.erase(&stream("b"), Version::new(2)).await.unwrap();
    assert_eq!(archived.archive(far).await.unwrap(), Position::new(3), "nor is what was erased");
    assert_eq!(store.head().await.unwrap(), Position::new(head.get() + 2));
    assert_eq!(artifacts.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn many_events_and_large_ones_become_several_parts() {
    let (store, artifacts) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
    let archived = over(store.clone(), artifacts.clone());
    for stream in ["a", "b", "c"] {
        append(&archived, stream, 8_000).await;
    }
    let large = "x".repeat(1 << 20);
    for _ in 0..2 {
        let events = (0..15).map(|_| event(&large)).collect();
        let write = StreamWrite::new(stream("large"), ExpectedVersion::Any, events);
        archived.append(Batch::new().with(write)).await.unwrap();
    }
    let before = everything(&archived, 10_000).await;
    let head = archived.head().await.unwrap();
    assert_eq!(archived.archive(head).await.unwrap(), head);
    assert_eq!(everything(&archived, 10_000).await, before);
    assert_eq!(erased(&everything(&*store, 10_000).await), before.len());
    // 10,000; 10,000; 4,000 with 8 MiB; 22 MiB.
    assert_eq!(artifacts.list().await.unwrap().len(), 6);
    // Pages are small in the store now, and would be large.
    let page = archived.read_all(Position::new(23_900), PageSize::new(10_000)).await.unwrap();
    assert!(page.iter().map(|event| event.payload.len()).sum::<usize>() <= PageSize::MAX_BYTES);
}

#[tokio::test]
async fn pages_of_large_events_end_early_although_the_store_has_little_left_of_them() {
    let store = Arc::new(MemoryEventStore::new());
    let archived = over(store, Arc::new(MemoryArtifacts::new()));
    let large = "x".repeat(1 << 20);
    for _ in 0..5 {
        let events = (0..15).map(|_| event(&large)).collect();
        let write = StreamWrite::new(stream("large"), ExpectedVersion::Any, events);
        archived.append(Batch::new().with(write)).await.unwrap();
    }
    archived.archive(Position::new(75)).await.unwrap();
    let page = archived.read_all(Position::START, PageSize::new(10_000)).await.unwrap();
    assert_eq!(page.len(), PageSize::MAX_BYTES >> 20);
    assert_eq!(everything(&archived, 10_000).await.len(), 75);
}

#[tokio::test]
async fn what_is_erased_is_gone_from_the_archive_too() {
    let (store, artifacts) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
    let archived = over(store.clone(), artifacts.clone());
    for _ in 0..3 {
        append(&archived, "a", 4).await;
        append(&archived, "b", 2).await;
        let head = archived.head().await.unwrap();
        archived.archive(head).await.unwrap();
    }
    append(&archived, "a", 4).await;
    for (up_to, events, all) in [(6, 6, 6), (6, 0, 6), (14, 8, 14), (99, 2, 16)] {
        assert_eq!(archived.erase(&stream("a"), Version::new(up_to)).await.unwrap(), events);
        assert_eq!(erased(&whole(&archived, "a").await), all);
        assert_eq!(erased(&whole(&archived, "b").await), 0);
    }
    assert_eq!(archived.erase(&stream(INDEX), Version::new(99)).await.unwrap(), 0);
    // Whoever collects keeps what is needed, and no longer what was erased.
    assert_eq!(artifacts.list().await.unwrap().len(), 7);
    let collected = artifacts.collect(&archived, Duration::ZERO).await.unwrap();
    assert_eq!((collected.removed, collected.missing.len()), (4, 0));
    let another = over(store, artifacts.clone());
    assert_eq!(whole(&another, "b").await.len(), 6);
    assert_eq!(erased(&everything(&another, 100).await), 16);
    for part in artifacts.list().await.unwrap() {
        let bytes = artifacts.get(&part).await.unwrap().unwrap();
        assert!(!bytes.windows(3).any(|text| text == b"a 3"), "its content is in an artefact");
    }
}

#[tokio::test]
async fn an_artefact_that_is_lost_is_an_error_and_not_an_event_without_content() {
    let (store, artifacts) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
    let archived = over(store.clone(), artifacts.clone());
    append(&archived, "a", 4).await;
    archived.archive(Position::new(2)).await.unwrap();
    let part = artifacts.list().await.unwrap()[0];
    artifacts.remove(&part).await.unwrap();
    let archived = over(store, artifacts);
    let read = archived.read_stream(&stream("a"), Version::EMPTY, PageSize::default()).await;
    let Err(ReadError::Corrupt { detail }) = read else { panic!("{read:?}") };
    assert!(detail.contains(&part.to_string()) && detail.contains("from 1 to 2"), "{detail}");
    let rest = archived.read_stream(&stream("a"), Version::new(2), PageSize::default()).await.unwrap();
    assert_eq!(rest.len(), 2);
}

#[tokio::test]
async fn an_artefact_with_other_events_is_not_believed() {
    let (store, artifacts) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
    // An index by somebody else: its part is of the same size, and of another store.
    let other = Arc::new(MemoryEventStore::new());
    let others = over(other.clone(), artifacts.clone());
    append(&others, "b", 2).await;
    others.archive(Position::new(2)).await.unwrap();
    append(&*store, "a", 2).await;
    for entry in whole(&*other, INDEX).await {
        let event = NewEvent::new(entry.kind, entry.at, entry.payload);
        store.append(Batch::new().with_event(stream(INDEX), ExpectedVersion::Any, event)).await.unwrap();
    }
    let archived = over(store.clone(), artifacts);
    let refused = archived.archive(Position::new(2)).await;
    assert!(matches!(refused, Err(ArchiveError::Lost { .. })), "{refused:?}");
    assert_eq!(erased(&whole(&*store, "a").await), 0, "nothing was erased");
    store.erase(&stream("a"), Version::new(2)).await.unwrap();
    let read = archived.read_all(Position::START, PageSize::default()).await;
    assert!(matches!(read, Err(ReadError::Corrupt { .. })), "{read:?}");
}
