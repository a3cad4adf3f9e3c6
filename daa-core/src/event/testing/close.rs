//! Shutting down.

use futures_util::FutureExt as _;

use super::*;
use crate::event::{AppendError, ReadError};

/// After `close` there is one answer, and closing again changes nothing.
pub async fn a_closed_store_refuses_everything(store: Store) {
    store.append(batch("a", ExpectedVersion::Any, &["1"])).await.unwrap();
    for _ in 0..2 {
        soon("the store to close", store.close()).await;
        let refused = store.append(batch("a", ExpectedVersion::Any, &["2"])).await;
        assert!(matches!(refused, Err(AppendError::Closed)), "{refused:?}");
        let refused = store.erase(&stream("a"), Version::new(1)).await;
        assert!(matches!(refused, Err(AppendError::Closed)), "{refused:?}");
        let page = PageSize::default();
        assert!(matches!(store.head().await, Err(ReadError::Closed)));
        assert!(matches!(store.subscribe(Position::START).await, Err(ReadError::Closed)));
        assert!(matches!(store.read_all(Position::START, page).await, Err(ReadError::Closed)));
        let read = store.read_stream(&stream("a"), Version::EMPTY, page).await;
        assert!(matches!(read, Err(ReadError::Closed)));
    }
}

/// Subscribers are told, whether they wait or have more to read.
pub async fn closing_ends_subscriptions(store: Store) {
    store.append(batch("a", ExpectedVersion::Any, &["1"])).await.unwrap();
    let mut waiting = store.subscribe(Position::START).await.unwrap();
    let mut behind = store.subscribe(Position::START).await.unwrap();
    waiting.next().await.unwrap().unwrap();
    let waiting = tokio::spawn(async move { waiting.next().await });
    tokio::task::yield_now().await;
    soon("the store to close", store.close()).await;
    assert!(soon("the end", waiting).await.unwrap().unwrap().is_none());
    let end = soon("the end", behind.next()).await;
    assert!(matches!(end, Err(ReadError::Closed)), "{end:?}");
}

/// An append that runs while the store closes is either acknowledged or refused as a whole.
pub async fn closing_finishes_what_was_accepted(store: Store) {
    let mut subscription = store.subscribe(Position::START).await.unwrap();
    let appends: Vec<_> = (0..50)
        .map(|at| {
            let store = store.clone();
            tokio::spawn(async move {
                store.append(batch(&format!("a/{at}"), ExpectedVersion::NO_STREAM, &["x"])).await
            })
        })
        .collect();
    let first = soon("an event", subscription.next()).await.unwrap().unwrap();
    assert_eq!(first.position.get(), 1);
    soon("the store to close", store.close()).await;
    let mut positions = Vec::new();
    for append in appends {
        match soon("an append", append).await.unwrap() {
            Ok(appended) => positions.push(appended.last.get()),
            Err(AppendError::Closed) => {}
            Err(error) => panic!("{error}"),
        }
    }
    positions.sort_unstable();
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>());
}

/// A caller that stopped in the middle of an append or of a read cannot hold the store open.
pub async fn a_future_that_nobody_polls_does_not_delay_closing(store: Store) {
    let mut appends: Vec<_> =
        (0..600).map(|at| store.append(batch(&format!("a/{at}"), ExpectedVersion::Any, &["x"]))).collect();
    let mut reads: Vec<_> = (0..200).map(|_| store.read_all(Position::START, PageSize::default())).collect();
    for append in &mut appends {
        drop(append.now_or_never());
    }
    for read in &mut reads {
        drop(read.now_or_never());
    }
    soon("the store to close", store.close()).await;
    drop((appends, reads));
}
