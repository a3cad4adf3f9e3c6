//! One writer: conflicts, atomicity, bounds.

use super::*;
use crate::event::{AppendError, BatchLimits};
use crate::id::MAX_ID_LEN;

async fn expect_conflict(store: &Store, batch: Batch, name: &str, expected: u64, actual: u64) {
    match store.append(batch).await {
        Err(AppendError::Conflict { stream: found, expected: wanted, actual: real }) => {
            assert_eq!((found, wanted.get(), real.get()), (stream(name), expected, actual));
        }
        other => panic!("expected a conflict on {name}, got {other:?}"),
    }
}

/// Positions are consecutive, in the order of the batch, and start at 1.
pub async fn acknowledges_consecutive_positions_in_batch_order(store: Store) {
    assert_eq!(store.head().await.unwrap(), Position::START);
    let first = Batch::new().with(write("a", ExpectedVersion::NO_STREAM, &["1", "2"])).with(write(
        "b",
        ExpectedVersion::NO_STREAM,
        &["3"],
    ));
    let appended = store.append(first).await.unwrap();
    assert_eq!((appended.first.get(), appended.last.get()), (1, 3));
    let appended = store.append(batch("a", exact(2), &["4"])).await.unwrap();
    assert_eq!((appended.first.get(), appended.last.get()), (4, 4));
    assert_eq!(store.head().await.unwrap().get(), 4);
    let events = everything(&store, 100).await;
    assert_eq!(payloads(&events), ["1", "2", "3", "4"]);
    let places: Vec<_> = events.iter().map(|event| (event.stream.as_str(), event.version.get())).collect();
    assert_eq!(places, [("a", 1), ("a", 2), ("b", 1), ("a", 3)]);
}

/// A batch based on an old or a future version is refused, and the error says where the stream is.
pub async fn refuses_a_stale_version_and_names_both(store: Store) {
    store.append(batch("a", ExpectedVersion::Any, &["1", "2"])).await.unwrap();
    expect_conflict(&store, batch("a", exact(1), &["x"]), "a", 1, 2).await;
    expect_conflict(&store, batch("a", exact(3), &["x"]), "a", 3, 2).await;
    expect_conflict(&store, batch("missing", exact(1), &["x"]), "missing", 1, 0).await;
    store.append(batch("a", exact(2), &["3"])).await.unwrap();
    assert_eq!(payloads(&everything(&store, 100).await), ["1", "2", "3"]);
}

/// `NO_STREAM` means a stream without events.
pub async fn no_stream_accepts_only_the_first_write(store: Store) {
    store.append(batch("a", ExpectedVersion::NO_STREAM, &["1"])).await.unwrap();
    expect_conflict(&store, batch("a", ExpectedVersion::NO_STREAM, &["x"]), "a", 0, 1).await;
    store.append(batch("b", ExpectedVersion::NO_STREAM, &["2"])).await.unwrap();
    assert_eq!(payloads(&everything(&store, 100).await), ["1", "2"]);
}

/// `Any` asks for nothing.
pub async fn any_accepts_whatever_the_stream_looks_like(store: Store) {
    for payload in ["1", "2", "3"] {
        store.append(batch("a", ExpectedVersion::Any, &[payload])).await.unwrap();
    }
    assert_eq!(payloads(&whole_stream(&store, &stream("a"), 100).await), ["1", "2", "3"]);
}

/// All or nothing, whichever write of the batch conflicts.
pub async fn a_conflict_in_one_stream_leaves_all_streams_untouched(store: Store) {
    store.append(batch("taken", ExpectedVersion::Any, &["1"])).await.unwrap();
    let stale = || write("taken", ExpectedVersion::NO_STREAM, &["x"]);
    let fine = |name| write(name, ExpectedVersion::NO_STREAM, &["x", "y"]);
    let batches = [
        Batch::new().with(fine("new")).with(stale()),
        Batch::new().with(stale()).with(fine("new")),
        Batch::new().with(fine("new")).with(stale()).with(fine("other")),
        Batch::new().with(write("taken", exact(1), &["x"])).with(fine("new")).with(stale()),
    ];
    for (at, batch) in batches.into_iter().enumerate() {
        expect_conflict(&store, batch, "taken", 0, if at == 3 { 2 } else { 1 }).await;
        assert_eq!(store.head().await.unwrap().get(), 1);
        assert!(whole_stream(&store, &stream("new"), 100).await.is_empty());
    }
    assert_eq!(payloads(&everything(&store, 100).await), ["1"]);
    let next = Batch::new().with(write("taken", exact(1), &["2"])).with(fine("new"));
    assert_eq!(store.append(next).await.unwrap().first.get(), 2);
}

/// Later writes of a batch see the earlier ones.
pub async fn a_stream_twice_in_a_batch_is_checked_and_applied_in_order(store: Store) {
    let twice = Batch::new()
        .with(write("a", ExpectedVersion::NO_STREAM, &["1", "2"]))
        .with(write("b", ExpectedVersion::NO_STREAM, &["3"]))
        .with(write("a", exact(2), &["4"]))
        .with(write("a", ExpectedVersion::Any, &["5"]));
    store.append(twice).await.unwrap();
    assert_eq!(payloads(&whole_stream(&store, &stream("a"), 100).await), ["1", "2", "4", "5"]);
    let stale = Batch::new().with(write("a", exact(4), &["x"])).with(write("a", exact(4), &["y"]));
    expect_conflict(&store, stale, "a", 4, 5).await;
    let fresh_twice = Batch::new().with(write("c", ExpectedVersion::NO_STREAM, &["x"])).with(write(
        "c",
        ExpectedVersion::NO_STREAM,
        &["y"],
    ));
    expect_conflict(&store, fresh_twice, "c", 0, 1).await;
    assert_eq!(payloads(&everything(&store, 100).await), ["1", "2", "3", "4", "5"]);
}

/// Nothing is not a batch.
pub async fn refuses_empty_batches_and_empty_writes(store: Store) {
    let hollow = Batch::new().with(write("a", ExpectedVersion::Any, &["x"])).with(write(
        "b",
        ExpectedVersion::Any,
        &[],
    ));
    for batch in [Batch::new(), batch("a", ExpectedVersion::Any, &[]), hollow] {
        let refused = store.append(batch).await;
        assert!(matches!(refused, Err(AppendError::Empty)), "{refused:?}");
    }
    assert!(everything(&store, 100).await.is_empty());
}

fn events_of(count: usize, bytes: usize) -> Batch {
    let payload = Bytes::from(vec![7; bytes]);
    let events = (0..count).map(|_| event(payload.clone())).collect();
    Batch::new().with(StreamWrite::new(stream("a"), ExpectedVersion::Any, events))
}

/// Each bound of [`BatchLimits`] holds.
pub async fn refuses_what_is_beyond_the_limits_and_writes_nothing(store: Store) {
    let beyond = [
        (events_of(BatchLimits::EVENTS + 1, 0), BatchLimits::EVENTS),
        (events_of(1, BatchLimits::PAYLOAD + 1), BatchLimits::PAYLOAD),
        (events_of(17, BatchLimits::PAYLOAD), BatchLimits::TOTAL),
    ];
    for (batch, bound) in beyond {
        match store.append(batch).await {
            Err(AppendError::TooLarge { limit, actual, .. }) => assert!(limit == bound && actual > bound),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
    assert!(everything(&store, 100).await.is_empty());
}

/// The bounds themselves are allowed.
pub async fn accepts_a_batch_at_the_limits(store: Store) {
    store.append(events_of(BatchLimits::EVENTS, 1)).await.unwrap();
    store.append(events_of(BatchLimits::TOTAL / BatchLimits::PAYLOAD, BatchLimits::PAYLOAD)).await.unwrap();
    let events = everything(&store, PageSize::MAX).await;
    assert_eq!(events.len(), BatchLimits::EVENTS + 16);
    assert_eq!(events.last().unwrap().payload.len(), BatchLimits::PAYLOAD);
}

/// What comes back is what was given, at the extremes too.
pub async fn keeps_every_byte_name_and_time(store: Store) {
    let all_bytes: Vec<u8> = (0..=u8::MAX).collect();
    let long = "n".repeat(MAX_ID_LEN);
    let given = [
        NewEvent::new(kind(), Timestamp::EPOCH, Bytes::new()),
        NewEvent::new(EventKind::new(&long).unwrap(), Timestamp::from_millis(u64::MAX), all_bytes.into()),
        NewEvent::new(EventKind::new("/:._-").unwrap(), Timestamp::from_millis(1 << 63), "\0".into()),
    ];
    let write = StreamWrite::new(stream(&long), ExpectedVersion::NO_STREAM, given.to_vec());
    store.append(Batch::new().with(write)).await.unwrap();
    let events = everything(&store, 100).await;
    assert_eq!(events, whole_stream(&store, &stream(&long), 100).await);
    assert_eq!(events.len(), given.len());
    for (event, given) in events.into_iter().zip(given) {
        assert_eq!(event.stream.as_str(), long);
        assert_eq!(NewEvent::new(event.kind, event.at, event.payload), given);
    }
}
