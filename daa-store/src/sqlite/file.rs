//! The database file: created whole, and examined before it is touched.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::options::{OpenCheck, Sharing, SqliteOptions};
use super::{connection, engine, schema};
use crate::durable::{publish, remove_if_there};
use crate::open::OpenError;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER: usize = 100;
const PAGE_SIZE_AT: usize = 16;
const PAGE_COUNT_AT: usize = 28;
const USER_VERSION_AT: usize = 60;
const APPLICATION_ID_AT: usize = 68;

/// Leaves a database of this version there: examines it, or creates it where there is none. Nobody may have it
/// open, in this process neither: this looks at the file past the engine.
pub(super) fn prepare(path: &Path) -> Result<(), OpenError> {
    remove_unfinished(path).map_err(|error| OpenError::io(path, error))?;
    match examine(path)? {
        None => create(path),
        Some(schema::SUPPORTED) => Ok(()),
        Some(older) => migrate(path, older),
    }
}

/// Opens a database that is prepared for writing. Others that share it may have it open.
pub(super) fn connect(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let failed = |error| engine::open_error(path, error);
    let conn = connection::writer(path, options).map_err(failed)?;
    if conn.is_readonly("main").map_err(failed)? {
        return Err(OpenError::ReadOnly { path: path.to_owned() });
    }
    if options.sharing == Sharing::Processes {
        check_format(path, &conn)?;
    }
    if options.check == OpenCheck::Pages {
        check_pages(path, &conn)?;
    }
    Ok(conn)
}

/// Who shares the file with us may be of another version.
fn check_format(path: &Path, conn: &Connection) -> Result<(), OpenError> {
    let path = || path.to_owned();
    let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let number = |name| number(name).map_err(|error| engine::open_error(&path(), error));
    if number("application_id")? != schema::APPLICATION_ID {
        let found = "a SQLite database of another application".to_owned();
        return Err(OpenError::Foreign { path: path(), found });
    }
    match number("user_version")? {
        schema::SUPPORTED => Ok(()),
        found if found > schema::SUPPORTED => {
            Err(OpenError::SchemaTooNew { path: path(), found, supported: schema::SUPPORTED })
        }
        // It becomes one of this version when those of the older version have closed it.
        _ => Err(OpenError::InUse { path: path() }),
    }
}

fn migrate(path: &Path, found: u32) -> Result<(), OpenError> {
    let failed = |error| engine::open_error(path, error);
    let mut conn = connection::creator(path).map_err(failed)?;
    schema::migrate(&mut conn, found).map_err(failed)?;
    conn.close().map_err(|(_, error)| failed(error))
}

/// The format of the file as its header states it, `None` when there is no file. Only reads, so that a file that
/// is not ours stays as it is.
fn examine(path: &Path) -> Result<Option<u32>, OpenError> {
    let corrupt = |detail: &str| OpenError::Corrupt { path: path.to_owned(), detail: detail.to_owned() };
    let foreign = |found: &str| OpenError::Foreign { path: path.to_owned(), found: found.to_owned() };
    let header = match read_header(path) {
        Ok(header) => header,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if beside(path, "-wal").exists() {
                return Err(corrupt("the write-ahead log is there, the database is not"));
            }
            return Ok(None);
        }
        Err(error) => return Err(OpenError::io(path, error)),
    };
    if header.is_empty() || (header.len() < HEADER && MAGIC.starts_with(header.get(..16).unwrap_or(&header)))
    {
        return Err(corrupt("the file is cut off in its header"));
    }
    if !header.starts_with(MAGIC) {
        return Err(foreign("a file that is not a SQLite database"));
    }
    if number(&header, APPLICATION_ID_AT) != Some(schema::APPLICATION_ID) {
        return Err(foreign("a SQLite database of another application"));
    }
    // With a log beside it a crash may have cut a checkpoint short, which the log repairs.
    let log = fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len());
    let len = fs::metadata(path).map_err(|error| OpenError::io(path, error))?.len();
    if log == 0 && Some(len) != whole_len(&header) {
        return Err(corrupt("the file does not have the length that its header states"));
    }
    match number(&header, USER_VERSION_AT) {
        Some(found) if found > schema::SUPPORTED => {
            Err(OpenError::SchemaTooNew { path: path.to_owned(), found, supported: schema::SUPPORTED })
        }
        Some(found) if found > 0 => Ok(Some(found)),
        _ => Err(corrupt("the header has no format version")),
    }
}

fn read_header(path: &Path) -> io::Result<Vec<u8>> {
    let mut header = Vec::with_capacity(HEADER);
    File::open(path)?.take(HEADER as u64).read_to_end(&mut header)?;
    Ok(header)
}

/// The length of a file with nothing missing. No overflow: both factors have at most 32 bits.
fn whole_len(header: &[u8]) -> Option<u64> {
    let page = match u16::from_be_bytes(*header.get(PAGE_SIZE_AT..)?.first_chunk()?) {
        // The largest size does not fit into the field.
        1 => 65_536,
        size => u64::from(size),
    };
    Some(page * u64::from(number(header, PAGE_COUNT_AT)?))
}

fn number(header: &[u8], at: usize) -> Option<u32> {
    header.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Builds the file under another name, so that it is there whole or not at all.
fn create(path: &Path) -> Result<(), OpenError> {
    let unfinished = unfinished(path);
    migrate(&unfinished, 0)?;
    File::options()
        .write(true)
        .open(&unfinished)
        .and_then(|file| file.sync_all())
        .and_then(|()| publish(&unfinished, path))
        .map_err(|error| OpenError::io(path, error))
}

fn remove_unfinished(path: &Path) -> io::Result<()> {
    let unfinished = unfinished(path);
    for suffix in ["", "-journal", "-wal", "-shm"] {
        remove_if_there(&beside(&unfinished, suffix))?;
    }
    Ok(())
}

fn unfinished(path: &Path) -> PathBuf {
    beside(path, ".new")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// SQLite's own check of every page, and that the order has no gap and is indexed as a whole.
fn check_pages(path: &Path, conn: &Connection) -> Result<(), OpenError> {
    let failed = |error| engine::open_error(path, error);
    // Of one moment, although others may be writing; ended by dropping it.
    let moment = conn.unchecked_transaction().map_err(failed)?;
    let corrupt = |detail| OpenError::Corrupt { path: path.to_owned(), detail };
    let verdict: String = moment.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if verdict != "ok" {
        return Err(corrupt(verdict));
    }
    let (events, last): (i64, i64) = moment
        .query_row("SELECT count(*), coalesce(max(position), 0) FROM events", [], |row| row.try_into())
        .map_err(failed)?;
    let indexed: i64 = moment
        .query_row("SELECT coalesce(sum(length), 0) FROM runs", [], |row| row.get(0))
        .map_err(failed)?;
    if events != last || indexed != last {
        return Err(corrupt(format!(
            "{events} events, {indexed} of them indexed, and {last} as last position"
        )));
    }
    Ok(())
}
