//! A store that dies at a chosen write.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::event::{
    AppendError, Appended, Batch, EventStore, PageSize, Position, ReadError, RecordedEvent, Subscription,
    Version,
};
use crate::id::StreamId;

/// On which side of a write the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before it is durable: nothing of it is there after the restart.
    Before,
    /// After it is durable, and before anybody was told.
    After,
}

/// An [`EventStore`] that dies at a chosen append, as the process would. From then on every call fails, for everybody
/// who holds it; [`restarted`](Self::restarted) is the same store as the next process finds it.
#[derive(Debug)]
pub struct CrashStore {
    inner: Arc<dyn EventStore>,
    appends: AtomicU64,
    /// The number of the append to die at, from 1; 0 for never.
    at: AtomicU64,
    after: AtomicBool,
    dead: AtomicBool,
    died: Notify,
}

impl CrashStore {
    /// A store that does not crash until it is told to.
    #[must_use]
    pub fn new(inner: Arc<dyn EventStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            appends: AtomicU64::new(0),
            at: AtomicU64::new(0),
            after: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            died: Notify::new(),
        })
    }

    /// Dies at the append of this number, counted from 1 since the store was made.
    pub fn crash_at(&self, append: u64, point: CrashPoint) {
        self.after.store(point == CrashPoint::After, Ordering::Release);
        self.at.store(append, Ordering::Release);
    }

    /// How many appends were begun.
    pub fn appends(&self) -> u64 {
        self.appends.load(Ordering::Acquire)
    }

    /// Whether it has died.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Waits until it dies.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn died(&self) {
        loop {
            let died = self.died.notified();
            if self.is_dead() {
                return;
            }
            died.await;
        }
    }

    /// The same content after a restart; does not crash until it is told to.
    #[must_use]
    pub fn restarted(&self) -> Arc<Self> {
        Self::new(self.inner.clone())
    }

    fn die(&self) -> AppendError {
        self.dead.store(true, Ordering::Release);
        self.died.notify_waiters();
        AppendError::Unconfirmed { source: Dead.into() }
    }

    fn alive(&self) -> Result<(), ReadError> {
        if self.is_dead() { Err(ReadError::Closed) } else { Ok(()) }
    }
}

/// The process is gone.
#[derive(Debug)]
struct Dead;

impl fmt::Display for Dead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process has crashed")
    }
}

impl std::error::Error for Dead {}

#[async_trait]
impl EventStore for CrashStore {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        if self.is_dead() {
            return Err(AppendError::Closed);
        }
        let number = self.appends.fetch_add(1, Ordering::AcqRel) + 1;
        if number != self.at.load(Ordering::Acquire) {
            return self.inner.append(batch).await;
        }
        if self.after.load(Ordering::Acquire) {
            // What would have been refused would have been refused in a dying process too.
            self.inner.append(batch).await?;
        }
        Err(self.die())
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.alive()?;
        self.inner.read_stream(stream, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.alive()?;
        self.inner.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.alive()?;
        self.inner.subscribe(after).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.alive()?;
        self.inner.head().await
    }

    async fn now(&self) -> Result<Option<Timestamp>, ReadError> {
        self.alive()?;
        self.inner.now().await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        if self.is_dead() {
            return Err(AppendError::Closed);
        }
        self.inner.erase(stream, up_to).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
