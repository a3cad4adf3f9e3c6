//! Several stores on one file.

mod conformance;
mod handles;
mod processes;

use std::path::Path;
use std::time::Duration;

use daa_store::open::OpenError;
use daa_store::sqlite::{Sharing, SqliteEventStore, SqliteOptions};

/// Shared, and quick to learn what others append.
fn shared() -> SqliteOptions {
    SqliteOptions::default().with_sharing(Sharing::Processes).with_poll_interval(Duration::from_millis(2))
}

fn try_open(dir: &Path, options: SqliteOptions) -> Result<SqliteEventStore, OpenError> {
    SqliteEventStore::open(dir.join("events.db"), options)
}

fn open(dir: &Path) -> SqliteEventStore {
    try_open(dir, shared()).unwrap()
}
