//! The thread that writes: group commit.

use std::sync::Arc;
use std::time::Duration;

use daa_core::event::AppendError;
use rusqlite::Connection;

use super::apply::{self, Applier};
use super::engine;
use super::job::Job;
use super::options::SqliteOptions;
use super::turn::Turn;
use crate::head::Head;
use crate::lock::DirLock;
use crate::queue::Outlet;

/// A group that has this many events or payload bytes is not made larger, so that nobody waits long for others.
const GROUP_EVENTS: usize = 20_000;
const GROUP_BYTES: usize = 32 << 20;

/// How a transaction over a group ended.
enum Group {
    /// Durable; each job has its own outcome.
    Committed,
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
    pub(super) fn run(mut self, queue: &mut Outlet<Job>, before_close: impl FnOnce()) {
        let mut group = Vec::new();
        while let Some(job) = queue.recv_blocking() {
            let (mut events, mut bytes) = (job.events(), job.bytes());
            group.push(job);
            while events < GROUP_EVENTS
                && bytes < GROUP_BYTES
                && let Some(job) = queue.try_recv()
            {
                events += job.events();
                bytes += job.bytes();
                group.push(job);
            }
            self.serve(&mut group);
        }
        before_close();
    }

    /// Answers every job of a group.
    fn serve(&mut self, group: &mut Vec<Job>) {
        match self.transact(group) {
            Group::Committed => group.drain(..).for_each(Job::answer),
            // One job of the group made the whole fail: find out which.
            Group::RolledBack(_) if group.len() > 1 => {
                for job in group.drain(..) {
                    self.serve(&mut vec![job]);
                }
            }
            Group::RolledBack(error) => {
                tracing::warn!(%error, "append failed and was rolled back");
                if let Some(job) = group.pop() {
                    job.fail(engine::append_error(error));
                }
            }
            Group::NoTurn(error) => {
                tracing::warn!(%error, "no turn to write: another connection was in the way");
                for job in group.drain(..) {
                    job.fail(AppendError::Unavailable {
                        source: format!("no turn to write: {error}").into(),
                    });
                }
            }
            Group::InDoubt(error) => {
                tracing::error!(%error, "commit failed: the store takes no more appends until it is reopened");
                self.broken = Some(error.to_string());
                for job in group.drain(..) {
                    let source = format!("commit failed: {error}; reopen the store").into();
                    job.fail(AppendError::Unconfirmed { source });
                }
            }
        }
    }

    fn transact(&mut self, group: &mut [Job]) -> Group {
        if let Some(reason) = &self.broken {
            for job in group {
                let source = format!("an earlier commit failed: {reason}; reopen the store").into();
                job.refuse(AppendError::Unavailable { source });
            }
            return Group::Committed;
        }
        match self.turn.take(&self.conn) {
            Ok(()) => {}
            Err(error) if engine::is_busy(&error) => return Group::NoTurn(error),
            Err(error) => return self.roll_back(error),
        }
        if let Err(error) = self.apply(group) {
            return self.roll_back(error);
        }
        match self.conn.execute_batch("COMMIT") {
            Ok(()) => {
                self.log.shrink();
                self.head.advance(self.log.head());
                Group::Committed
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

    fn apply(&mut self, group: &mut [Job]) -> rusqlite::Result<()> {
        if self.turn.others_wrote(&self.conn)? {
            self.log.catch_up(&self.conn)?;
        }
        group.iter_mut().try_for_each(|job| job.apply(&mut self.log, &self.conn))
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
