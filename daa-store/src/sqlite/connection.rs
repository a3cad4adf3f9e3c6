//! Connections, and the settings that the guarantees rest on.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::options::SqliteOptions;

/// Statements that a connection keeps compiled.
const STATEMENTS: usize = 32;
/// The write-ahead log is folded into the database when it has this many pages (16 MiB).
const CHECKPOINT_PAGES: u32 = 4_000;
/// The page cache, in KiB (negative: that is how SQLite tells it from pages).
const WRITER_CACHE: i32 = -16_384;
const READER_CACHE: i32 = -2_048;

/// The connection that writes.
///
/// In WAL mode with `synchronous=FULL` every commit is synced before it returns; `fullfsync` makes that true on
/// macOS too.
pub(super) fn writer(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::empty(), WRITER_CACHE)?;
    conn.busy_timeout(options.patience)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "fullfsync", true)?;
    conn.pragma_update(None, "checkpoint_fullfsync", true)?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    if let Some(bytes) = options.max_bytes {
        let page: u64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        conn.pragma_update(None, "max_page_count", (bytes / page.max(1)).clamp(1, 0xffff_fffe))?;
    }
    Ok(conn)
}

/// A connection that reads.
pub(super) fn reader(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::empty(), READER_CACHE)?;
    // A read waits for no writer, but for one that recovers the file after another's crash.
    conn.busy_timeout(options.patience)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// The connection that creates a file.
pub(super) fn creator(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_CREATE, READER_CACHE)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    Ok(conn)
}

fn open(path: &Path, extra: OpenFlags, cache: i32) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | extra;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise the planner looks at the values that are bound, and every other execution compiles its statement again.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", cache)?;
    Ok(conn)
}
