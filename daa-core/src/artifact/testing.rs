//! The conformance suite of [`Artifacts`](super::Artifacts): one function for each behaviour of the contract.
//!
//! [`artifacts_conformance!`](crate::artifacts_conformance) makes a test of each, as
//! [`event_store_conformance!`](crate::event_store_conformance) does for event stores.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite fails by panicking"
)]

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::{ArtifactError, MAX_ARTIFACT, NamedArtifacts};
use crate::digest::Digest;

mod collection;
mod names;
mod streams;

pub use collection::*;
pub use names::*;
pub use streams::*;

/// The store under test.
pub type Store = Arc<dyn NamedArtifacts>;

/// Makes a `#[tokio::test]` of each behaviour. The expression is evaluated once per test, and yields
/// `(guard, Arc<dyn NamedArtifacts>)`; the guard is dropped after the store.
#[macro_export]
macro_rules! artifacts_conformance {
    ($fresh:expr) => {
        $crate::artifacts_conformance! { @tests $fresh;
            gives_back_what_was_put_under_its_digest
            has_nothing_where_nothing_was_put
            putting_twice_is_putting_once
            removes_once_and_can_put_again
            lists_all_addresses_sorted
            concurrent_puts_of_the_same_and_of_others_all_succeed
            a_dropped_put_is_whole_or_absent
            refuses_what_is_too_large

            a_stream_and_whole_bytes_are_the_same_artefact
            a_stream_comes_back_in_its_order
            ranges_are_those_of_the_bytes
            a_range_outside_is_refused
            a_writer_that_is_dropped_leaves_nothing
            a_source_that_fails_leaves_nothing
            concurrent_writers_do_not_disturb_each_other
            pages_are_complete_and_in_order
            tells_size_and_age_and_a_second_put_is_as_young_as_a_first

            versions_count_up_and_the_latest_follows
            publishing_behind_a_stale_version_is_refused
            of_concurrent_publications_one_succeeds
            what_is_not_there_is_not_published
            a_retired_version_is_gone_and_its_number_is_not_used_again
            tags_move_from_where_they_are
            of_concurrent_moves_of_a_tag_one_succeeds
            a_version_with_a_tag_is_not_retired
            names_do_not_mix_with_those_that_look_alike
            names_and_versions_come_in_pages

            a_collection_keeps_what_is_reachable_and_removes_the_rest
            a_collection_keeps_what_is_young_with_what_it_names
            a_collection_that_is_not_told_what_is_reachable_removes_nothing
            a_collection_tells_what_is_missing
            collections_follow_each_other_and_leave_names_as_they_are
        }
    };
    (@tests $fresh:expr; $($behaviour:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            let (_guard, store) = $fresh;
            $crate::artifact::testing::$behaviour(store).await;
        }
    )*};
}

/// Bytes of every size class come back, addressed by their plain digest.
pub async fn gives_back_what_was_put_under_its_digest(store: Store) {
    for len in [0, 1, 4_096, 65_537, 3 << 20] {
        let bytes = Bytes::from((0..len).map(|at| (at % 251) as u8).collect::<Vec<_>>());
        let digest = store.put(bytes.clone()).await.unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(store.get(&digest).await.unwrap(), Some(bytes));
    }
}

/// A missing artefact is not an error.
pub async fn has_nothing_where_nothing_was_put(store: Store) {
    let digest = Digest::of(b"never put");
    assert_eq!(store.get(&digest).await.unwrap(), None);
    assert!(!store.remove(&digest).await.unwrap());
    assert_eq!(store.list().await.unwrap(), []);
}

/// The second put of the same bytes changes nothing.
pub async fn putting_twice_is_putting_once(store: Store) {
    let first = store.put("same".into()).await.unwrap();
    assert_eq!(store.put("same".into()).await.unwrap(), first);
    assert_eq!(store.list().await.unwrap(), [first]);
    assert!(store.remove(&first).await.unwrap());
    assert_eq!(store.get(&first).await.unwrap(), None);
}

/// What was removed is gone, and may come again.
pub async fn removes_once_and_can_put_again(store: Store) {
    let kept = store.put("kept".into()).await.unwrap();
    let digest = store.put("gone".into()).await.unwrap();
    assert!(store.remove(&digest).await.unwrap());
    assert!(!store.remove(&digest).await.unwrap());
    assert_eq!(store.list().await.unwrap(), [kept]);
    store.put("gone".into()).await.unwrap();
    assert_eq!(store.get(&digest).await.unwrap(), Some("gone".into()));
}

/// The list is complete and in the order of the digests.
pub async fn lists_all_addresses_sorted(store: Store) {
    let mut digests = Vec::new();
    for at in 0..40 {
        digests.push(store.put(format!("artefact {at}").into()).await.unwrap());
    }
    digests.sort_unstable();
    assert_eq!(store.list().await.unwrap(), digests);
}

/// Writers do not disturb each other, not even with the same bytes.
pub async fn concurrent_puts_of_the_same_and_of_others_all_succeed(store: Store) {
    let bytes = |at: usize| Bytes::from(vec![(at % 4) as u8; 50_000]);
    let puts: Vec<_> = (0..24)
        .map(|at| {
            let store = store.clone();
            tokio::spawn(async move { store.put(bytes(at)).await })
        })
        .collect();
    for put in puts {
        let digest = put.await.unwrap().unwrap();
        assert_eq!(store.get(&digest).await.unwrap().map(|bytes| bytes.len()), Some(50_000));
    }
    assert_eq!(store.list().await.unwrap().len(), 4);
}

/// Giving up on a put never shows a part of it.
pub async fn a_dropped_put_is_whole_or_absent(store: Store) {
    for at in 0..10_u8 {
        let bytes = Bytes::from(vec![at; 200_000]);
        drop(store.put(bytes.clone()).now_or_never());
        // Corrupt would be an error here.
        let found = store.get(&Digest::of(&bytes)).await.unwrap();
        assert!(found.is_none() || found == Some(bytes));
    }
}

/// The bound holds, and is checked before anything is stored.
pub async fn refuses_what_is_too_large(store: Store) {
    // Zeroed memory that is never touched costs nothing.
    let refused = store.put(vec![0; MAX_ARTIFACT + 1].into()).await;
    assert!(
        matches!(refused, Err(ArtifactError::TooLarge { len, .. }) if len == MAX_ARTIFACT as u64 + 1),
        "{refused:?}"
    );
    assert_eq!(store.list().await.unwrap(), []);
}
