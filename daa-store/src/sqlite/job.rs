//! What waits for the writer.

use daa_core::event::{AppendError, Appended, Batch, Version};
use daa_core::id::StreamId;
use rusqlite::Connection;
use tokio::sync::oneshot::{Receiver, Sender, channel};

use super::apply::{Applier, Refused};
use super::erase::{Erased, MOST_EVENTS};

/// Something to be written in a transaction, and who waits for it.
#[derive(Debug)]
pub(super) enum Job {
    Append { batch: Batch, bytes: usize, caller: Caller<Appended> },
    Erase { stream: StreamId, up_to: Version, caller: Caller<Erased> },
}

/// Who waits, and what they are told when the transaction is committed.
#[derive(Debug)]
pub(super) struct Caller<T> {
    answer: Sender<Result<T, AppendError>>,
    outcome: Option<Result<T, AppendError>>,
}

/// Where the answer comes.
pub(super) type Answer<T> = Receiver<Result<T, AppendError>>;

impl Job {
    /// A batch whose bounds were checked.
    pub(super) fn append(batch: Batch) -> (Self, Answer<Appended>) {
        let events = batch.writes.iter().flat_map(|write| &write.events);
        let bytes = events.map(|event| event.payload.len()).sum();
        let (caller, answer) = Caller::new();
        (Self::Append { batch, bytes, caller }, answer)
    }

    /// As much of a prefix as one transaction may erase.
    pub(super) fn erase(stream: StreamId, up_to: Version) -> (Self, Answer<Erased>) {
        let (caller, answer) = Caller::new();
        (Self::Erase { stream, up_to, caller }, answer)
    }

    /// The payload bytes that it holds.
    pub(super) const fn bytes(&self) -> usize {
        match self {
            Self::Append { bytes, .. } => *bytes,
            Self::Erase { .. } => 0,
        }
    }

    /// The megabytes of payload, rounded up, and at least one.
    pub(super) fn megabytes(&self) -> u32 {
        u32::try_from(self.bytes().div_ceil(1 << 20)).unwrap_or(u32::MAX).max(1)
    }

    /// How many events it may write.
    pub(super) fn events(&self) -> usize {
        match self {
            Self::Append { batch, .. } => batch.event_count(),
            Self::Erase { .. } => MOST_EVENTS,
        }
    }

    /// Does it, in the open transaction. What cannot be done without harm to others is its outcome; an error of the
    /// engine ends the transaction.
    pub(super) fn apply(&mut self, log: &mut Applier, conn: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Append { batch, caller, .. } => caller.note(log.apply(conn, batch)),
            Self::Erase { stream, up_to, caller } => caller.note(log.erase(conn, stream, *up_to)),
        }
    }

    /// Its outcome is this, whatever becomes of the transaction.
    pub(super) fn refuse(&mut self, error: AppendError) {
        match self {
            Self::Append { caller, .. } => caller.outcome = Some(Err(error)),
            Self::Erase { caller, .. } => caller.outcome = Some(Err(error)),
        }
    }

    /// Tells the caller the outcome. Nobody waits where the caller dropped its future.
    pub(super) fn answer(self) {
        match self {
            Self::Append { caller, .. } => caller.tell(),
            Self::Erase { caller, .. } => caller.tell(),
        }
    }

    /// Tells the caller this instead.
    pub(super) fn fail(mut self, error: AppendError) {
        self.refuse(error);
        self.answer();
    }
}

impl<T> Caller<T> {
    fn new() -> (Self, Answer<T>) {
        let (sender, receiver) = channel();
        (Self { answer: sender, outcome: None }, receiver)
    }

    fn note(&mut self, outcome: Result<T, Refused>) -> rusqlite::Result<()> {
        self.outcome = Some(match outcome {
            Ok(done) => Ok(done),
            Err(Refused::Answer(error)) => Err(error),
            Err(Refused::Engine(error)) => return Err(error),
        });
        Ok(())
    }

    fn tell(self) {
        if let Some(outcome) = self.outcome {
            let _ = self.answer.send(outcome);
        }
    }
}
