//! A shared store keeps the contract, also where what one store wrote is read by another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, PageSize, Position, ReadError, RecordedEvent, Subscription,
    Version,
};
use daa_core::id::StreamId;
use tempfile::TempDir;

use super::open;

fn fresh() -> (TempDir, Arc<dyn EventStore>) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    (dir, Arc::new(store))
}

daa_core::event_store_conformance!(fresh());

/// Several stores on one file behind one face: writes go to the first `writers` in turn, reads to the last.
#[derive(Debug)]
struct Several<S> {
    stores: Vec<S>,
    writers: usize,
    writes: AtomicUsize,
}

impl<S: EventStore> Several<S> {
    fn writer(&self) -> &S {
        &self.stores[self.writes.fetch_add(1, Ordering::Relaxed) % self.writers]
    }

    fn reader(&self) -> &S {
        self.stores.last().unwrap()
    }
}

fn several(stores: usize, writers: usize) -> (TempDir, Arc<dyn EventStore>) {
    let dir = tempfile::tempdir().unwrap();
    let stores = (0..stores).map(|_| open(dir.path())).collect();
    (dir, Arc::new(Several { stores, writers, writes: AtomicUsize::new(0) }))
}

#[async_trait]
impl<S: EventStore> EventStore for Several<S> {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.writer().append(batch).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reader().read_stream(stream, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reader().read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.reader().subscribe(after).await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.writer().erase(stream, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.reader().head().await
    }

    async fn close(&self) {
        for store in &self.stores {
            store.close().await;
        }
    }
}

/// What one store writes, the other shows.
mod one_writes_another_reads {
    daa_core::event_store_conformance!(super::several(2, 1));
}

/// Three stores write in turn, one of which reads. All behaviours but those that give up a write and rely on its
/// being done before the next: at two stores the second may be done first.
mod all_write {
    daa_core::event_store_conformance! { @tests super::several(3, 3);
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
        erases_content_and_kind_and_nothing_else
        erasing_again_erases_only_what_is_new
        erases_what_is_there_and_no_more
        appends_go_on_after_erasing
        refuses_an_append_of_the_kind_of_erased_events
        subscribers_see_erased_events_as_erased
        erases_beside_writers_and_readers
        a_closed_store_refuses_everything
        closing_ends_subscriptions
        closing_finishes_what_was_accepted
        a_future_that_nobody_polls_does_not_delay_closing
    }
}
