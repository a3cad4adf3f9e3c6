//! A change of the ledger that takes part in somebody's atomic append.

use daa_core::clock::Timestamp;
use daa_core::event::{EventStore, ExpectedVersion, NewEvent, PageSize, RecordedEvent, StreamWrite, Version};
use daa_core::id::StreamId;
use tokio::sync::OwnedMutexGuard;

use crate::account::Account;
use crate::books::Books;
use crate::command::{Applied, Command};
use crate::error::LedgerError;
use crate::event::LedgerEvent;
use crate::rejection::Rejection;
use crate::transfer::Transfer;

/// The stream that the ledger is written to.
pub const LEDGER_STREAM: &str = "ledger";

/// The books, and how far they have followed the stream.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) books: Books,
    pub(crate) version: Version,
    pub(crate) stream: StreamId,
}

impl State {
    #[expect(clippy::expect_used, reason = "the name is a constant of the id alphabet")]
    pub(crate) fn new() -> Self {
        let stream = StreamId::new(LEDGER_STREAM).expect("a constant name is an id");
        Self { books: Books::new(), version: Version::EMPTY, stream }
    }

    /// Follows the stream to its end. Whole events only, so it may be dropped at any point.
    pub(crate) async fn catch_up(&mut self, store: &dyn EventStore) -> Result<(), LedgerError> {
        loop {
            let page = PageSize::default();
            let events = store.read_stream(&self.stream, self.version, page).await?;
            for event in &events {
                self.follow(event)?;
            }
            if events.is_empty() {
                return Ok(());
            }
        }
    }

    fn follow(&mut self, recorded: &RecordedEvent) -> Result<(), LedgerError> {
        let version = recorded.version;
        let unknown = || LedgerError::UnknownEvent { kind: recorded.kind.clone(), version };
        let event = LedgerEvent::read(recorded)?.ok_or_else(unknown)?;
        self.books.apply(&event).map_err(|source| LedgerError::Inconsistent { version, source })?;
        self.books.commit();
        self.version = version;
        Ok(())
    }
}

/// A change of the ledger that is being prepared. No other change of the same [`Ledger`](crate::Ledger) begins
/// until it is confirmed or dropped; dropping it takes it back.
///
/// For those who append it together with writes of their own: append [`writes`](Self::writes) in one batch with
/// them, then [`confirm`](Self::confirm). When the append ends in a conflict at the `ledger` stream, drop the
/// change and begin again. When it is not known whether the append is durable, drop the change too: the next one
/// reads what is.
#[derive(Debug)]
#[must_use = "a change that is not appended and confirmed is taken back"]
pub struct LedgerChange {
    state: OwnedMutexGuard<State>,
    events: Vec<NewEvent>,
}

impl LedgerChange {
    pub(crate) const fn new(state: OwnedMutexGuard<State>) -> Self {
        Self { state, events: Vec::new() }
    }

    /// The books, with what this change did so far.
    #[must_use]
    pub fn books(&self) -> &Books {
        &self.state.books
    }

    /// Does a command at `at`, by the writer's clock.
    ///
    /// # Errors
    /// [`Rejection`] when the books refuse it; what the change did before stands.
    pub fn step(&mut self, command: Command, at: Timestamp) -> Result<Applied, Rejection> {
        match self.state.books.step(command)? {
            Some(event) => {
                self.events.push(encode(&event, at));
                Ok(Applied::Now)
            }
            None => Ok(Applied::Before),
        }
    }

    /// Opens an account unless there is one of that name and currency, of whatever kind.
    ///
    /// # Errors
    /// [`Rejection`] when the books refuse it.
    pub fn ensure_account(&mut self, account: Account, at: Timestamp) -> Result<Applied, Rejection> {
        if self.books().balance(&account.id, account.currency).is_some() {
            return Ok(Applied::Before);
        }
        self.step(Command::Open(account), at)
    }

    /// Makes transfers that do not depend on each other, in one event, and says of each what became of it.
    pub(crate) fn step_batch(
        &mut self,
        transfers: Vec<Transfer>,
        at: Timestamp,
    ) -> Vec<Result<Applied, Rejection>> {
        let outcome = self.state.books.step_batch(transfers);
        self.events.extend(outcome.event.map(|event| encode(&event, at)));
        outcome.results
    }

    /// Whether there is anything to append.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The writes that make this change durable; none when it has no effect.
    #[must_use]
    pub fn writes(&self) -> Vec<StreamWrite> {
        if self.is_empty() {
            return Vec::new();
        }
        let expected = ExpectedVersion::Exact(self.state.version);
        vec![StreamWrite::new(self.state.stream.clone(), expected, self.events.clone())]
    }

    /// Tells the ledger that the writes are durable.
    pub fn confirm(mut self) {
        let version = self.state.version.get().saturating_add(self.events.len() as u64);
        self.state.version = Version::new(version);
        self.state.books.commit();
    }
}

impl Drop for LedgerChange {
    /// Takes back what was not confirmed.
    fn drop(&mut self) {
        self.state.books.rollback_all();
    }
}

#[expect(clippy::expect_used, reason = "events have no maps, so JSON can always be made of them")]
fn encode(event: &LedgerEvent, at: Timestamp) -> NewEvent {
    event.to_new(at).expect("a ledger event has a JSON form")
}
