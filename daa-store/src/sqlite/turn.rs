//! Taking turns with the writers of other stores that share the file.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::engine;

/// Between two attempts to get the turn: short at first, because most transactions are.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// The turn to write, and whether others had it since.
#[derive(Debug)]
pub(super) struct Turn {
    patience: Duration,
    /// What [`data_version`] was when it last had the turn; `None` when the writer must not rely on what it knew.
    seen: Option<i64>,
}

impl Turn {
    pub(super) const fn new(patience: Duration) -> Self {
        Self { patience, seen: None }
    }

    /// Begins a transaction. The engine's error for a busy file when others had the turn all the time.
    pub(super) fn take(&self, conn: &Connection) -> rusqlite::Result<()> {
        let deadline = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            match conn.execute_batch("BEGIN IMMEDIATE") {
                Err(error) if engine::is_busy(&error) && Instant::now() < deadline => thread::sleep(pause),
                begun => return begun,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// In the transaction: whether others wrote since this writer last had the turn, or that cannot be known.
    pub(super) fn others_wrote(&mut self, conn: &Connection) -> rusqlite::Result<bool> {
        let now = Some(data_version(conn)?);
        Ok(std::mem::replace(&mut self.seen, now) != now)
    }

    /// What the writer knew does not hold any more.
    pub(super) const fn forget(&mut self) {
        self.seen = None;
    }
}

/// A number that changes when another connection has committed, and not when this one has; it says nothing to
/// other connections. It is also changed now and then by what is no commit, such as a rewound log.
pub(super) fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}
