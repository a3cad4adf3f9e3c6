//! What SQLite's errors mean to the callers of a store.

use std::path::Path;

use daa_core::event::{AppendError, ReadError};
use rusqlite::{Error, ErrorCode, ffi};

use crate::open::OpenError;

/// The kinds of engine errors that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Full,
    ReadOnly,
    Corrupt,
    Unavailable,
}

fn meaning(error: &Error) -> Meaning {
    match error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => Meaning::Full,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Meaning::ReadOnly,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Meaning::Corrupt,
            ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_SHORT_READ => {
                Meaning::Corrupt
            }
            // A statement that does not compile, or a key twice, in tables that only this code writes.
            ErrorCode::Unknown | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => Meaning::Corrupt,
            _ => Meaning::Unavailable,
        },
        Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::FromSqlConversionFailure(..)
        | Error::QueryReturnedNoRows
        | Error::Utf8Error(..)
        | Error::SqlInputError { .. } => Meaning::Corrupt,
        _ => Meaning::Unavailable,
    }
}

/// The answer to an append that did not get as far as its commit.
pub(super) fn append_error(source: Error) -> AppendError {
    match meaning(&source) {
        Meaning::Full => AppendError::Full { source: source.into() },
        Meaning::ReadOnly => AppendError::ReadOnly,
        Meaning::Corrupt => AppendError::Corrupt { detail: source.to_string() },
        Meaning::Unavailable => AppendError::Unavailable { source: source.into() },
    }
}

/// Whether a commit that failed this way has certainly left nothing behind. The frame that completes a
/// transaction is written last, and a full disk or a busy lock is met before it.
pub(super) fn surely_not_committed(error: &Error) -> bool {
    is_busy(error) || meaning(error) == Meaning::Full
}

/// Whether another connection is in the way.
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

pub(super) fn read_error(source: Error) -> ReadError {
    match meaning(&source) {
        Meaning::Corrupt => ReadError::Corrupt { detail: source.to_string() },
        Meaning::Full | Meaning::ReadOnly | Meaning::Unavailable => {
            ReadError::Unavailable { source: source.into() }
        }
    }
}

pub(super) fn open_error(path: &Path, source: Error) -> OpenError {
    let path = path.to_owned();
    match meaning(&source) {
        Meaning::Full => OpenError::Full { path, source: source.into() },
        Meaning::ReadOnly => OpenError::ReadOnly { path },
        Meaning::Corrupt => OpenError::Corrupt { path, detail: source.to_string() },
        Meaning::Unavailable => OpenError::Unavailable { path, source: source.into() },
    }
}
