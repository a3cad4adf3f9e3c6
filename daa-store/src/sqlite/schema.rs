//! The tables, and how a file of an older version becomes one of this version.

use rusqlite::{Connection, TransactionBehavior};

/// Marks a SQLite file as an event store of ours: "DAAe" in ASCII.
pub(super) const APPLICATION_ID: u32 = 0x4441_4165;

/// The newest format that this code reads, and the one it writes.
pub(super) const SUPPORTED: u32 = 1;

/// Version 1.
///
/// `events.position` is the global order, without gaps. `runs` is the index by stream: the events of one write
/// stand next to each other in both orders, so one row finds them all, and an append of many events costs one
/// index entry. Names are stored once.
const V1: &str = "
    CREATE TABLE streams (
        id       INTEGER PRIMARY KEY,
        name     TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE kinds (
        id       INTEGER PRIMARY KEY,
        name     TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        stream   INTEGER NOT NULL,
        version  INTEGER NOT NULL,
        kind     INTEGER NOT NULL,
        at       INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        payload  BLOB NOT NULL
    ) STRICT;
    CREATE TABLE runs (
        stream   INTEGER NOT NULL,
        version  INTEGER NOT NULL,
        position INTEGER NOT NULL,
        length   INTEGER NOT NULL,
        PRIMARY KEY (stream, version)
    ) STRICT, WITHOUT ROWID;
";

/// Step *n* makes a file of version *n* one of version *n + 1*; an empty file has version 0.
const STEPS: [&str; SUPPORTED as usize] = [V1];

/// Brings a file from version `found` to [`SUPPORTED`], in one transaction.
pub(super) fn migrate(conn: &mut Connection, found: u32) -> rusqlite::Result<()> {
    let steps = STEPS.iter().skip(found as usize);
    if steps.len() == 0 {
        return Ok(());
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SUPPORTED)?;
    transaction.commit()
}
