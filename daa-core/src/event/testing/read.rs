//! Reading: pages, ends, freshness.

use super::*;
use crate::event::BatchLimits;

/// Unknown streams and places behind the end are empty, not errors.
pub async fn reads_nothing_where_nothing_is(store: Store) {
    let page = PageSize::default();
    for head in [0, 2] {
        assert_eq!(store.head().await.unwrap().get(), head);
        for after in [head, head + 1, u64::MAX - 1, u64::MAX, i64::MAX as u64 - 1, i64::MAX as u64] {
            assert!(store.read_all(Position::new(after), page).await.unwrap().is_empty());
            assert!(store.read_stream(&stream("a"), Version::new(after), page).await.unwrap().is_empty());
        }
        assert!(store.read_stream(&stream("missing"), Version::EMPTY, page).await.unwrap().is_empty());
        store.append(batch("a", ExpectedVersion::Any, &["1", "2"])).await.unwrap();
    }
}

/// Every page size, from every place, gives the same events, however they were written.
pub async fn pages_through_a_stream_and_through_all(store: Store) {
    let mut written = 0_u64;
    for round in 0_usize..12 {
        let names: Vec<String> = (0..=round % 4).map(|at| format!("{round}.{at}")).collect();
        let payloads: Vec<&str> = names.iter().map(String::as_str).collect();
        let both = Batch::new().with(write("a", exact(written), &payloads)).with(write(
            "b",
            ExpectedVersion::Any,
            &["between"],
        ));
        store.append(both).await.unwrap();
        written += payloads.len() as u64;
    }
    let all = everything(&store, PageSize::MAX).await;
    let of_a: Vec<_> = all.iter().filter(|event| event.stream == stream("a")).cloned().collect();
    assert_eq!(of_a.len() as u64, written);
    for page in [1, 2, 3, 7, 1_000] {
        assert_eq!(everything(&store, page).await, all);
        assert_eq!(whole_stream(&store, &stream("a"), page).await, of_a);
    }
    for after in 0..of_a.len() {
        let rest =
            store.read_stream(&stream("a"), Version::new(after as u64), PageSize::default()).await.unwrap();
        assert_eq!(rest, of_a[after..]);
    }
}

/// Pages are bounded in bytes too.
pub async fn ends_a_page_of_large_events_early_and_loses_none(store: Store) {
    let large = Bytes::from(vec![1; BatchLimits::PAYLOAD]);
    let in_a_batch = BatchLimits::TOTAL / BatchLimits::PAYLOAD;
    let batches = PageSize::MAX_BYTES / BatchLimits::TOTAL + 1;
    for _ in 0..batches {
        let events = vec![event(large.clone()); in_a_batch];
        let write = StreamWrite::new(stream("a"), ExpectedVersion::Any, events);
        store.append(Batch::new().with(write)).await.unwrap();
    }
    let most = PageSize::MAX_BYTES / BatchLimits::PAYLOAD + 1;
    let page = store.read_all(Position::START, PageSize::new(PageSize::MAX)).await.unwrap();
    assert!((1..=most).contains(&page.len()), "a page of {} events of a megabyte", page.len());
    let page = store.read_stream(&stream("a"), Version::EMPTY, PageSize::new(PageSize::MAX)).await.unwrap();
    assert!((1..=most).contains(&page.len()), "a page of {} events of a megabyte", page.len());
    assert_eq!(whole_stream(&store, &stream("a"), PageSize::MAX).await.len(), batches * in_a_batch);
}

/// A writer reads its own writes.
pub async fn shows_an_acknowledged_append_at_once(store: Store) {
    for round in 0..50_u64 {
        let appended = store.append(batch("a", exact(round), &["x"])).await.unwrap();
        assert_eq!(store.head().await.unwrap(), appended.last);
        let page = PageSize::default();
        assert_eq!(store.read_stream(&stream("a"), Version::new(round), page).await.unwrap().len(), 1);
        assert_eq!(store.read_all(Position::new(round), page).await.unwrap().len(), 1);
    }
}
