//! The conformance suite of [`EventStore`]: one function for each behaviour of the contract.
//!
//! [`event_store_conformance!`](crate::event_store_conformance) makes a test of each, so that a failure has a
//! name:
//!
//! ```
//! # mod example {
//! use std::sync::Arc;
//! use daa_core::event::{EventStore, MemoryEventStore};
//!
//! /// A fresh store, and whatever must live as long as it: a temporary directory, a container.
//! fn fresh() -> ((), Arc<dyn EventStore>) {
//!     ((), Arc::new(MemoryEventStore::new()))
//! }
//!
//! daa_core::event_store_conformance!(fresh());
//! # }
//! ```
//!
//! Every function takes a fresh, empty store and panics when a promise is broken. They need a multi-threaded tokio
//! runtime with timers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite fails by panicking"
)]

mod append;
mod close;
mod concurrent;
mod erase;
mod model;
mod read;
mod subscribe;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::append::*;
pub use self::close::*;
pub use self::concurrent::*;
pub use self::erase::*;
pub use self::model::*;
pub use self::read::*;
pub use self::subscribe::*;
use super::{
    Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, RecordedEvent, StreamWrite, Version,
};
use crate::clock::Timestamp;
use crate::id::{EventKind, StreamId};

/// The store under test.
pub type Store = Arc<dyn EventStore>;

/// Makes a `#[tokio::test]` of each behaviour. The expression is evaluated once per test, and yields
/// `(guard, Arc<dyn EventStore>)`; the guard is dropped after the store.
#[macro_export]
macro_rules! event_store_conformance {
    ($fresh:expr) => {
        $crate::event_store_conformance! { @tests $fresh;
            acknowledges_consecutive_positions_in_batch_order
            refuses_a_stale_version_and_names_both
            no_stream_accepts_only_the_first_write
            any_accepts_whatever_the_stream_looks_like
            a_conflict_in_one_stream_leaves_all_streams_untouched
            a_stream_twice_in_a_batch_is_checked_and_applied_in_order
            refuses_empty_batches_and_empty_writes
            refuses_what_is_beyond_the_limits_and_writes_nothing
            accepts_a_batch_at_the_limits
            keeps_every_byte_name_and_time
            reads_nothing_where_nothing_is
            pages_through_a_stream_and_through_all
            ends_a_page_of_large_events_early_and_loses_none
            shows_an_acknowledged_append_at_once
            subscription_goes_from_history_to_live_without_a_seam
            subscriptions_under_concurrent_writers_see_everything_once_in_one_order
            subscription_from_the_future_waits_for_it
            a_slow_subscriber_delays_no_append_and_misses_nothing
            a_cancelled_wait_loses_no_event
            concurrent_writers_with_retries_all_get_through_exactly_once
            readers_see_no_gap_and_no_half_batch_while_writers_write
            a_dropped_append_is_whole_or_absent
            erases_content_and_kind_and_nothing_else
            erasing_again_erases_only_what_is_new
            erases_what_is_there_and_no_more
            appends_go_on_after_erasing
            refuses_an_append_of_the_kind_of_erased_events
            subscribers_see_erased_events_as_erased
            erases_a_long_prefix_whole
            erases_beside_writers_and_readers
            a_closed_store_refuses_everything
            closing_ends_subscriptions
            closing_finishes_what_was_accepted
            a_future_that_nobody_polls_does_not_delay_closing
        }
    };
    (@tests $fresh:expr; $($behaviour:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            let (_guard, store) = $fresh;
            $crate::event::testing::$behaviour(store).await;
        }
    )*};
}

/// No step of the suite takes longer than this on a working store; a test that waits longer fails.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

fn stream(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

fn kind() -> EventKind {
    EventKind::new("test.happened.v1").unwrap()
}

fn event(payload: impl Into<Bytes>) -> NewEvent {
    NewEvent::new(kind(), Timestamp::from_millis(1), payload.into())
}

fn write(name: &str, expected: ExpectedVersion, payloads: &[&str]) -> StreamWrite {
    StreamWrite::new(
        stream(name),
        expected,
        payloads.iter().map(|payload| event(payload.to_string())).collect(),
    )
}

fn batch(name: &str, expected: ExpectedVersion, payloads: &[&str]) -> Batch {
    Batch::new().with(write(name, expected, payloads))
}

const fn exact(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(Version::new(version))
}

/// Everything in the global order, read in pages, and checked for gaps.
async fn everything(store: &Store, page: usize) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Position::START, |event| event.position);
        let more = store.read_all(after, PageSize::new(page)).await.unwrap();
        assert!(more.len() <= page, "a page of {} events, {page} were asked for", more.len());
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    let positions: Vec<u64> = events.iter().map(|event| event.position.get()).collect();
    assert_eq!(positions, (1..=events.len() as u64).collect::<Vec<_>>(), "the order has a gap");
    events
}

/// Everything in a stream, read in pages, and checked for gaps.
async fn whole_stream(store: &Store, stream: &StreamId, page: usize) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Version::EMPTY, |event| event.version);
        let more = store.read_stream(stream, after, PageSize::new(page)).await.unwrap();
        assert!(more.len() <= page, "a page of {} events, {page} were asked for", more.len());
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    let versions: Vec<u64> = events.iter().map(|event| event.version.get()).collect();
    assert_eq!(versions, (1..=events.len() as u64).collect::<Vec<_>>(), "stream {stream} has a gap");
    events
}

fn payloads(events: &[RecordedEvent]) -> Vec<String> {
    events.iter().map(|event| String::from_utf8(event.payload.to_vec()).unwrap()).collect()
}
