//! Following a store from any position: history first, then live, with no seam between them.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use super::error::ReadError;
use super::record::{Position, RecordedEvent};
use super::store::{PageSize, ReadAll};

/// A reader that follows a store.
///
/// It pulls: each event is read from the store after the one before it was taken, and the store only says how
/// far it has come. So a slow subscriber costs the store nothing, holds one page in memory, misses nothing and
/// sees nothing twice.
#[derive(Debug)]
pub struct Subscription {
    reader: Arc<dyn ReadAll>,
    head: watch::Receiver<Position>,
    last: Position,
    page: VecDeque<RecordedEvent>,
}

impl Subscription {
    /// For those who implement a store: follows `reader` behind `after`; `head` must be set to the last
    /// position after each append, and closed when the store is.
    #[must_use]
    pub fn new(reader: Arc<dyn ReadAll>, head: watch::Receiver<Position>, after: Position) -> Self {
        Self { reader, head, last: after, page: VecDeque::new() }
    }

    /// For those who wrap a store: the same subscription, with its events read by what `wrap` makes of its reader.
    #[must_use]
    pub fn read_by(self, wrap: impl FnOnce(Arc<dyn ReadAll>) -> Arc<dyn ReadAll>) -> Self {
        Self { reader: wrap(self.reader), page: VecDeque::new(), ..self }
    }

    /// The next event; waits until there is one. `None` when the store is closed or gone, and all was read.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read, which includes that it was closed while there was more to
    /// read; the subscription may be used again.
    ///
    /// # Cancel safety
    /// Safe: an event is taken only by the call that returns it.
    pub async fn next(&mut self) -> Result<Option<RecordedEvent>, ReadError> {
        loop {
            if let Some(event) = self.page.pop_front() {
                self.last = event.position;
                return Ok(Some(event));
            }
            let open = self.head.has_changed().is_ok();
            let head = *self.head.borrow_and_update();
            if head > self.last {
                self.page = self.reader.read_all(self.last, PageSize::default()).await?.into();
                if !self.page.is_empty() {
                    continue;
                }
            }
            if !open || self.head.changed().await.is_err() {
                // The last append and the closing may have come together.
                if *self.head.borrow() > self.last && self.refill().await? {
                    continue;
                }
                return Ok(None);
            }
        }
    }

    /// The position of the event taken last.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.last
    }

    async fn refill(&mut self) -> Result<bool, ReadError> {
        self.page = self.reader.read_all(self.last, PageSize::default()).await?.into();
        Ok(!self.page.is_empty())
    }
}
