//! A store that can be held up, and that lets others in between before it writes.

use std::sync::Arc;

use async_trait::async_trait;
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, PageSize, Position, ReadError, RecordedEvent, Subscription,
    Version,
};
use daa_core::id::StreamId;
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Held {
    inner: Arc<dyn EventStore>,
    /// While it is set, nobody reads the order of everything.
    reading: watch::Sender<bool>,
    /// While it is set, nothing is erased.
    erasing: watch::Sender<bool>,
    /// Whether each append lets everybody else go first who can.
    polite: bool,
}

impl Held {
    pub(super) fn new(inner: Arc<dyn EventStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            reading: watch::Sender::new(false),
            erasing: watch::Sender::new(false),
            polite: false,
        })
    }

    pub(super) fn polite(inner: Arc<dyn EventStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            reading: watch::Sender::new(false),
            erasing: watch::Sender::new(false),
            polite: true,
        })
    }

    pub(super) fn hold_reading(&self, hold: bool) {
        self.reading.send_replace(hold);
    }

    pub(super) fn hold_erasing(&self, hold: bool) {
        self.erasing.send_replace(hold);
    }
}

async fn let_go(held: &watch::Sender<bool>) {
    let mut held = held.subscribe();
    let _ = held.wait_for(|held| !*held).await;
}

#[async_trait]
impl EventStore for Held {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        if self.polite {
            tokio::task::yield_now().await;
        }
        self.inner.append(batch).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_stream(stream, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        let_go(&self.reading).await;
        self.inner.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.inner.subscribe(after).await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        let_go(&self.erasing).await;
        self.inner.erase(stream, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
