//! Many writers and readers at once.

use std::collections::HashMap;

use futures_util::FutureExt as _;

use super::*;
use crate::event::AppendError;

/// Optimistic writers on one stream: of those based on one version one wins, and the others retry.
pub async fn concurrent_writers_with_retries_all_get_through_exactly_once(store: Store) {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write_with_retries(store.clone(), writer, WRITES))).collect();
    for writer in writers {
        soon("a writer", writer).await.unwrap();
    }
    let mut found = payloads(&whole_stream(&store, &stream("counter"), 100).await);
    let mut expected: Vec<String> =
        (0..WRITERS).flat_map(|writer| (0..WRITES).map(move |at| format!("{writer}.{at}"))).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(everything(&store, 100).await.len(), WRITERS * WRITES);
}

async fn write_with_retries(store: Store, writer: usize, writes: usize) {
    let mut version = 0;
    for at in 0..writes {
        loop {
            match store.append(batch("counter", exact(version), &[&format!("{writer}.{at}")])).await {
                Ok(_) => break version += 1,
                Err(AppendError::Conflict { actual, .. }) => {
                    assert!(actual.get() != version, "a conflict without a difference");
                    version = actual.get();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A reader sees a prefix of the order that ends between two batches.
pub async fn readers_see_no_gap_and_no_half_batch_while_writers_write(store: Store) {
    const WRITERS: usize = 4;
    const BATCHES: usize = 40;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..BATCHES {
                    let name = format!("{writer}.{round}");
                    let three = Batch::new()
                        .with(write(&format!("own/{writer}"), exact(2 * round as u64), &[&name, &name]))
                        .with(write("shared", ExpectedVersion::Any, &[&name]));
                    store.append(three).await.unwrap();
                }
            })
        })
        .collect();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut seen = 0;
                while seen < WRITERS * BATCHES * 3 {
                    let all = store.read_all(Position::START, PageSize::new(PageSize::MAX)).await.unwrap();
                    assert!(all.len() >= seen, "events vanished");
                    seen = all.len();
                    check_prefix(&all);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for task in writers.into_iter().chain(readers) {
        soon("a writer or a reader", task).await.unwrap();
    }
}

fn check_prefix(all: &[RecordedEvent]) {
    let mut of_batch: HashMap<&[u8], usize> = HashMap::new();
    for (event, position) in all.iter().zip(1..) {
        assert_eq!(event.position.get(), position, "a gap");
        *of_batch.entry(&event.payload).or_default() += 1;
    }
    assert!(of_batch.values().all(|&events| events == 3), "half a batch");
}

/// Giving up on an append, before or after it got anywhere, never leaves a part of it.
pub async fn a_dropped_append_is_whole_or_absent(store: Store) {
    for round in 0..40 {
        let name = format!("dropped.{round}");
        let two = Batch::new().with(write("a", ExpectedVersion::Any, &[&name])).with(write(
            "b",
            ExpectedVersion::Any,
            &[&name],
        ));
        // Polled once, then dropped.
        drop(store.append(two).now_or_never());
    }
    // Whatever was accepted comes before this.
    store.append(batch("end", ExpectedVersion::NO_STREAM, &["end"])).await.unwrap();
    let of_a = payloads(&whole_stream(&store, &stream("a"), 100).await);
    let of_b = payloads(&whole_stream(&store, &stream("b"), 100).await);
    assert_eq!(of_a, of_b);
    assert_eq!(everything(&store, 100).await.len(), 2 * of_a.len() + 1);
}
