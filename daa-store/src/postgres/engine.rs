//! What PostgreSQL's errors mean to the callers of a store.

use std::error::Error as _;
use std::path::PathBuf;

use daa_core::event::{AppendError, ReadError};
use deadpool_postgres::PoolError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::schema::{SUPPORTED, Unusable};
use crate::open::OpenError;

/// Why a statement brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{}", text(.0))]
    Engine(#[from] Error),
    #[error("the server gave no answer in time")]
    Late,
    #[error("no connection: {0}")]
    NoConnection(String),
    #[error("the store is closed")]
    Closed,
}

/// An error of the driver, with what the server said.
fn text(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Engine(error),
            PoolError::Closed => Self::Closed,
            PoolError::Timeout(_) => Self::Late,
            error => Self::NoConnection(error.to_string()),
        }
    }
}

/// The kinds of failures that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The connection or the server is gone, or will be there later.
    Away,
    /// A name of a stream is there already.
    NameTaken,
    Full,
    ReadOnly,
    Corrupt,
    Unavailable,
}

impl Failure {
    pub(super) fn meaning(&self) -> Meaning {
        match self {
            Self::Engine(error) => meaning(error),
            Self::Late | Self::NoConnection(_) => Meaning::Away,
            Self::Closed => Meaning::Unavailable,
        }
    }

    /// Whether it waited in vain for others to let go of something.
    pub(super) fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Engine(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
    }

    /// The answer to an append of which nothing is in the log.
    pub(super) fn append_error(&self) -> AppendError {
        let source = self.to_string();
        match self.meaning() {
            Meaning::Full => AppendError::Full { source: source.into() },
            Meaning::ReadOnly => AppendError::ReadOnly,
            Meaning::Corrupt | Meaning::NameTaken => AppendError::Corrupt { detail: source },
            Meaning::Unavailable if matches!(self, Self::Closed) => AppendError::Closed,
            Meaning::Away | Meaning::Unavailable => AppendError::Unavailable { source: source.into() },
        }
    }

    pub(super) fn read_error(self) -> ReadError {
        match self.meaning() {
            _ if matches!(self, Self::Closed) => ReadError::Closed,
            Meaning::Corrupt => ReadError::Corrupt { detail: self.to_string() },
            _ => ReadError::Unavailable { source: self.into() },
        }
    }
}

/// By the classes of SQLSTATE (PostgreSQL documentation, appendix A).
fn meaning(error: &Error) -> Meaning {
    let Some(said) = error.as_db_error() else {
        // What is read does not have the type of its column; everything else is the connection.
        let decodes = error.to_string().starts_with("error deserializing");
        return if decodes { Meaning::Corrupt } else { Meaning::Away };
    };
    match said.code().code() {
        "23505" if said.constraint() == Some("streams_name") => Meaning::NameTaken,
        "53100" => Meaning::Full,
        "25006" | "42501" => Meaning::ReadOnly,
        // Shut down, crashed, starting up, killed, or too many connections.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "53300" => Meaning::Away,
        // Too slow, which the server ended itself; or kept waiting by others.
        "57014" | "55P03" => Meaning::Away,
        code if code.starts_with("08") => Meaning::Away,
        // Damaged pages; tables that are not as this code made them.
        code if code.starts_with("XX") || code.starts_with("42") || code.starts_with("23") => {
            Meaning::Corrupt
        }
        _ => Meaning::Unavailable,
    }
}

pub(super) fn open_error(place: String, source: Unusable) -> OpenError {
    let path = PathBuf::from(place);
    match source {
        Unusable::Foreign => OpenError::Foreign { path, found: "tables of somebody else".to_owned() },
        Unusable::TooNew { needs } => OpenError::SchemaTooNew {
            path,
            found: needs.cast_unsigned(),
            supported: SUPPORTED.cast_unsigned(),
        },
        Unusable::Engine(source) => match source.meaning() {
            Meaning::Full => OpenError::Full { path, source: source.into() },
            Meaning::ReadOnly => OpenError::ReadOnly { path },
            Meaning::Corrupt => OpenError::Corrupt { path, detail: source.to_string() },
            _ => OpenError::Unavailable { path, source: source.into() },
        },
    }
}
