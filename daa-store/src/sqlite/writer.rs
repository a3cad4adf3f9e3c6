//! The thread that writes: group commit.

use std::sync::Arc;
use std::time::Duration;

use daa_core::event::{AppendError, Appended, Batch};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::apply::{self, Applier, Refused};
use super::engine;
use super::options::SqliteOptions;
use super::queue::Outlet;
use super::turn::Turn;
use super::watcher::Head;
use crate::lock::DirLock;

/// A group that has this many events or payload bytes is not made larger, so that nobody waits long for others.
const GROUP_EVENTS: usize = 20_000;
const GROUP_BYTES: usize = 32 << 20;

/// An append that waits for the writer.
#[derive(Debug)]
pub(super) struct Job {
    batch: Batch,
    bytes: usize,
    answer: oneshot::Sender<Outcome>,
}

impl Job {
    pub(super) fn new(batch: Batch, answer: oneshot::Sender<Outcome>) -> Self {
        let events = batch.writes.iter().flat_map(|write| &write.events);
        let bytes = events.map(|event| event.payload.len()).sum();
        Self { batch, bytes, answer }
    }

    /// The megabytes of payload, rounded up, and at least one.
    pub(super) fn megabytes(&self) -> u32 {
        u32::try_from(self.bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX).max(1)
    }
}

type Outcome = Result<Appended, AppendError>;

/// How a transaction over a group ended.
enum Group {
    /// Durable; each batch with its own outcome.
    Committed(Vec<Outcome>),
    /// Rolled back, and certainly nothing is left of it.
    RolledBack(rusqlite::Error),
    /// The commit itself failed.
    InDoubt(rusqlite::Error),
    /// Not begun, because another writer was in the way all the time.
    NoTurn(rusqlite::Error),
}

/// Owns the connection that writes.
#[derive(Debug)]
pub(super) struct Writer {
    conn: Connection,
    log: Applier,
    turn: Turn,
    head: Head,
    /// Why no more is written. After a commit in doubt only opening the file again tells what it holds.
    broken: Option<String>,
    /// Freed after the connection, which is above.
    _lock: Arc<DirLock>,
}

impl Writer {
    pub(super) fn new(
        conn: Connection,
        options: &SqliteOptions,
        lock: Arc<DirLock>,
    ) -> rusqlite::Result<Self> {
        let head = Head::new(apply::head(&conn)?);
        // It waits for its turn by itself.
        conn.busy_timeout(Duration::ZERO)?;
        let (log, turn) = (Applier::default(), Turn::new(options.patience));
        Ok(Self { conn, log, turn, head, broken: None, _lock: lock })
    }

    /// Where it tells how far the order has come.
    pub(super) const fn head(&self) -> &Head {
        &self.head
    }

    /// Serves the queue until it is closed and empty; then calls `before_close`, and closes the database.
    pub(super) fn run(mut self, queue: &Outlet<Job>, before_close: impl FnOnce()) {
        let mut group = Vec::new();
        while let Ok(job) = queue.recv() {
            let (mut events, mut bytes) = (job.batch.event_count(), job.bytes);
            group.push(job);
            while events < GROUP_EVENTS
                && bytes < GROUP_BYTES
                && let Ok(job) = queue.try_recv()
            {
                events += job.batch.event_count();
                bytes += job.bytes;
                group.push(job);
            }
            self.serve(&mut group);
        }
        before_close();
    }

    /// Answers every job of a group.
    fn serve(&mut self, group: &mut Vec<Job>) {
        match self.transact(group) {
            Group::Committed(outcomes) => {
                for (job, outcome) in group.drain(..).zip(outcomes) {
                    // Nobody waits where the caller dropped its future.
                    let _ = job.answer.send(outcome);
                }
            }
            // One batch of the group made the whole fail: find out which.
            Group::RolledBack(_) if group.len() > 1 => {
                for job in group.drain(..) {
                    self.serve(&mut vec![job]);
                }
            }
            Group::RolledBack(error) => {
                tracing::warn!(%error, "append failed and was rolled back");
                answer_last(group, engine::append_error(error));
            }
            Group::NoTurn(error) => {
                tracing::warn!(%error, "no turn to write: another connection was in the way");
                for job in group.drain(..) {
                    let source = format!("no turn to write: {error}").into();
                    let _ = job.answer.send(Err(AppendError::Unavailable { source }));
                }
            }
            Group::InDoubt(error) => {
                tracing::error!(%error, "commit failed: the store takes no more appends until it is reopened");
                self.broken = Some(error.to_string());
                for job in group.drain(..) {
                    let source = format!("commit failed: {error}; reopen the store").into();
                    let _ = job.answer.send(Err(AppendError::Unconfirmed { source }));
                }
            }
        }
    }

    fn transact(&mut self, group: &[Job]) -> Group {
        if let Some(reason) = &self.broken {
            let refused = || format!("an earlier commit failed: {reason}; reopen the store").into();
            return Group::Committed(
                group.iter().map(|_| Err(AppendError::Unavailable { source: refused() })).collect(),
            );
        }
        match self.turn.take(&self.conn) {
            Ok(()) => {}
            Err(error) if engine::is_busy(&error) => return Group::NoTurn(error),
            Err(error) => return self.roll_back(error),
        }
        let outcomes = match self.apply(group) {
            Ok(outcomes) => outcomes,
            Err(error) => return self.roll_back(error),
        };
        match self.conn.execute_batch("COMMIT") {
            Ok(()) => {
                self.log.shrink();
                self.head.advance(self.log.head());
                Group::Committed(outcomes)
            }
            Err(error) if engine::surely_not_committed(&error) => self.roll_back(error),
            Err(error) => {
                self.end_turn();
                Group::InDoubt(error)
            }
        }
    }

    /// A commit that failed may have left the transaction open, which would keep all other writers out.
    fn end_turn(&self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction stays open until the store is closed");
        }
    }

    fn apply(&mut self, group: &[Job]) -> rusqlite::Result<Vec<Outcome>> {
        if self.turn.others_wrote(&self.conn)? {
            self.log.catch_up(&self.conn)?;
        }
        let mut outcomes = Vec::with_capacity(group.len());
        for job in group {
            outcomes.push(match self.log.apply(&self.conn, &job.batch) {
                Ok(appended) => Ok(appended),
                Err(Refused::Conflict(error)) => Err(error),
                Err(Refused::Engine(error)) => return Err(error),
            });
        }
        Ok(outcomes)
    }

    fn roll_back(&mut self, error: rusqlite::Error) -> Group {
        self.turn.forget();
        self.log = Applier::default();
        // SQLite has rolled back by itself after some errors.
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "rollback failed: the store takes no more appends until it is reopened");
            self.broken = Some(error.to_string());
        }
        Group::RolledBack(error)
    }
}

fn answer_last(group: &mut Vec<Job>, error: AppendError) {
    if let Some(job) = group.pop() {
        let _ = job.answer.send(Err(error));
    }
}
