//! What waits for the writer.

use daa_core::event::{AppendError, Appended, Batch};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// An append whose bounds were checked, and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) batch: Batch,
    /// The payload bytes that it holds.
    pub(super) bytes: usize,
    answer: Sender<Outcome>,
}

pub(super) type Outcome = Result<Appended, AppendError>;

impl Job {
    pub(super) fn new(batch: Batch) -> (Self, Receiver<Outcome>) {
        let events = batch.writes.iter().flat_map(|write| &write.events);
        let bytes = events.map(|event| event.payload.len()).sum();
        let (answer, answered) = channel();
        (Self { batch, bytes, answer }, answered)
    }

    /// The megabytes of payload, rounded up, and at least one.
    pub(super) fn megabytes(&self) -> u32 {
        u32::try_from(self.bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX).max(1)
    }

    /// Nobody waits where the caller dropped its future.
    pub(super) fn answer(self, outcome: Outcome) {
        let _ = self.answer.send(outcome);
    }
}
