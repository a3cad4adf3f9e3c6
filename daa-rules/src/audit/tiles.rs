//! Where the files of a log are kept.

mod blobs;
mod folder;
mod memory;

use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::fault::{Fault, Reaction, Retry};

pub use blobs::BlobTiles;
pub use folder::FolderTiles;
pub use memory::MemoryTiles;

/// A file of a log: its path, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogFile {
    /// Parts of lower-case letters, digits and dots, between slashes, such as `tile/0/x001/067.p/3`.
    pub path: String,
    /// What is in it.
    pub bytes: Bytes,
}

impl LogFile {
    /// A file.
    #[must_use]
    pub const fn new(path: String, bytes: Bytes) -> Self {
        Self { path, bytes }
    }
}

/// Named bytes that can be served as they are: a log is a static site.
///
/// # Contract
///
/// An implementation must:
/// - return from [`write`](Self::write) only when every file is as durable as it promises;
/// - show a file whole, old or new, or not at all, also after a crash in the middle of a write;
/// - show what was written to every read that begins afterwards.
///
/// It need not write the files of one call together: the log orders its calls so that any part of one is harmless.
#[async_trait]
pub trait TileStore: Send + Sync + fmt::Debug {
    /// The bytes of a file; `None` when there is none.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn read(&self, path: &str) -> Result<Option<Bytes>, StorageError>;

    /// Writes files, each in place of one of its path.
    ///
    /// # Errors
    /// [`StorageError`]: some of them may be written.
    async fn write(&self, files: Vec<LogFile>) -> Result<(), StorageError>;

    /// Removes all files whose paths begin with `under`, which ends with a slash.
    ///
    /// # Errors
    /// [`StorageError`]: some of them may be gone.
    async fn remove(&self, under: &str) -> Result<(), StorageError>;
}

/// The files of a log could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the log's file {path} is unavailable")]
#[non_exhaustive]
pub struct StorageError {
    /// Which file.
    pub path: String,
    /// What the storage said.
    #[source]
    pub source: Box<dyn StdError + Send + Sync>,
}

impl StorageError {
    /// For those who implement a storage.
    #[must_use]
    pub fn new(path: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { path: path.into(), source: source.into() }
    }
}

impl Reaction for StorageError {
    fn fault(&self) -> Fault {
        Fault::Environment
    }

    fn retry(&self) -> Retry {
        Retry::Later
    }
}
