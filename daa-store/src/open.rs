//! Why a store could not be opened.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use daa_core::fault::{Fault, Reaction, Retry};

/// Why a store or a data directory could not be opened.
///
/// What was there before is still there, unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Something else lives there: not an empty place, and not one that this library wrote.
    #[error("{} is not ours: {found}", path.display())]
    Foreign {
        /// The file or directory.
        path: PathBuf,
        /// What was found in it.
        found: String,
    },
    /// A newer version of this library wrote it.
    #[error("{} has format {found}, this version reads up to {supported}", path.display())]
    SchemaTooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
    },
    /// Another store, in this process or another, has it open.
    #[error("{} is in use by another store", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be written to.
    #[error("{} is read-only", path.display())]
    ReadOnly {
        /// The file or directory.
        path: PathBuf,
    },
    /// What is on disk is not what was written.
    #[error("{} is corrupt: {detail}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// No space is left to create it.
    #[error("no space is left for {}", path.display())]
    Full {
        /// The file or directory.
        path: PathBuf,
        /// What the engine said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The operating system or the engine failed.
    #[error("{} cannot be opened", path.display())]
    Unavailable {
        /// The file or directory.
        path: PathBuf,
        /// What the engine said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl OpenError {
    /// The error for a failed operation on `path`.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { path, source: source.into() }
            }
            _ => Self::Unavailable { path, source: source.into() },
        }
    }
}

impl Reaction for OpenError {
    fn fault(&self) -> Fault {
        match self {
            Self::Foreign { .. } | Self::SchemaTooNew { .. } | Self::InUse { .. } => Fault::Caller,
            Self::ReadOnly { .. } | Self::Corrupt { .. } | Self::Full { .. } | Self::Unavailable { .. } => {
                Fault::Environment
            }
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::InUse { .. } | Self::Full { .. } | Self::Unavailable { .. } => Retry::Later,
            Self::Foreign { .. }
            | Self::SchemaTooNew { .. }
            | Self::ReadOnly { .. }
            | Self::Corrupt { .. } => Retry::Never,
        }
    }
}
