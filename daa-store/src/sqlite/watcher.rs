//! The thread that watches what other stores append to a shared file.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use daa_core::event::Position;
use rusqlite::Connection;
use tokio::sync::watch;

use super::options::SqliteOptions;
use super::turn::data_version;
use super::{apply, connection};
use crate::head::Head;
use crate::lock::DirLock;

/// A connection that looks for what others committed.
#[derive(Debug)]
pub(super) struct Watcher {
    conn: Connection,
    interval: Duration,
    /// What [`data_version`] was at the last look.
    seen: Option<i64>,
    failing: bool,
}

/// Stops a watcher, and waits for its end.
#[derive(Debug)]
pub(super) struct Watching {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watcher {
    pub(super) fn open(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Self> {
        let conn = connection::reader(path, options)?;
        Ok(Self { conn, interval: options.poll, seen: None, failing: false })
    }

    /// Starts the thread. It holds `lock` and a clone of `alive` until it ends.
    pub(super) fn start(
        mut self,
        head: Head,
        lock: &Arc<DirLock>,
        alive: &watch::Sender<()>,
    ) -> io::Result<Watching> {
        let (stop, stopped) = channel();
        let (lock, alive) = (lock.clone(), alive.clone());
        let thread = thread::Builder::new().name("daa-store-watch".to_owned()).spawn(move || {
            // Dropped in this order: connection, head, lock, sign of life.
            let (_alive, _lock, head) = (alive, lock, head);
            self.run(&head, &stopped);
            drop(self);
        })?;
        Ok(Watching { stop, thread })
    }

    fn run(&mut self, head: &Head, stopped: &Receiver<()>) {
        loop {
            match self.look() {
                Ok(news) => {
                    self.failing = false;
                    news.into_iter().for_each(|position| head.advance(position));
                }
                Err(error) => {
                    // Once, and not at every look.
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(%error, "cannot see what others append to the event store");
                    }
                }
            }
            if stopped.recv_timeout(self.interval) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// The head, if others have committed since the last look.
    fn look(&mut self) -> rusqlite::Result<Option<Position>> {
        let now = data_version(&self.conn)?;
        if self.seen == Some(now) {
            return Ok(None);
        }
        // Asked after the version: a commit in between is seen again at the next look.
        let head = apply::head(&self.conn)?;
        self.seen = Some(now);
        Ok(Some(head))
    }
}

impl Watching {
    /// Ends the thread. Whether it ended in good order.
    pub(super) fn end(self) -> thread::Result<()> {
        drop(self.stop);
        self.thread.join()
    }
}
