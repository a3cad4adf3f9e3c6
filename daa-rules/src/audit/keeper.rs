//! The last checkpoint, kept away from the log: so that a log that was put back is found out.

mod file;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use daa_core::fault::{Fault, Reaction, Retry};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::hash::TreeHash;
use super::note::{KeyName, Note};
use super::tiles::StorageError;

pub use file::KeeperFile;

/// Keeps the last checkpoint of a log where whoever can change the store and the log's files cannot: on another volume,
/// another machine, with another party.
///
/// # Contract
///
/// An implementation must:
/// - return from [`keep`](Self::keep) only when the checkpoint is durable, and show either the old one or the new one
///   after a crash;
/// - never keep a checkpoint in place of a newer one: it compares both by [`KeepError::check`] and replaces the one by the
///   other in one step, whoever else keeps at the same time. So a process that was replaced, and is slow, takes nothing
///   back.
#[async_trait]
pub trait CheckpointKeeper: Send + Sync + fmt::Debug {
    /// The checkpoint that was kept last, as it was given; `None` when none was.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn last(&self) -> Result<Option<String>, StorageError>;

    /// Keeps a checkpoint in place of the last one, which must not be newer.
    ///
    /// # Errors
    /// [`KeepError`]. After [`KeepError::Storage`] the one or the other is kept; otherwise nothing has changed.
    async fn keep(&self, checkpoint: &str) -> Result<(), KeepError>;
}

/// A checkpoint that is not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// It could not be written, or the last one could not be read.
    #[error("the checkpoint cannot be kept")]
    Storage(#[from] StorageError),
    /// It, or the one that is kept, is none.
    #[error("what is kept, or is to be, is no checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint of another log is kept.
    #[error("a checkpoint of log {kept} is kept, and not one of {given}")]
    OtherLog {
        /// The log whose checkpoint is kept.
        kept: KeyName,
        /// The log whose checkpoint is not.
        given: KeyName,
    },
    /// A newer one is kept.
    #[error("a checkpoint of {kept} records is kept, and not one of {given}")]
    Older {
        /// The size of the one that is kept.
        kept: u64,
        /// The size of the one that is not.
        given: u64,
    },
    /// Another one of the same size is kept: the log forked.
    #[error("a checkpoint of {size} records with root {kept} is kept, and not one with {given}")]
    Forked {
        /// The size of both.
        size: u64,
        /// The root of the one that is kept.
        kept: TreeHash,
        /// The root of the one that is not.
        given: TreeHash,
    },
}

impl KeepError {
    /// For those who implement a keeper: whether a checkpoint may be kept in place of the last one. Of the same size it
    /// may where the root is the same, such as when another key has signed it.
    ///
    /// # Errors
    /// [`KeepError`] says why it may not.
    pub fn check(kept: Option<&str>, given: &str) -> Result<(), Self> {
        let read = |text: &str| {
            let note = Note::parse(text.as_bytes()).map_err(CheckpointError::from)?;
            Checkpoint::parse(note.text())
        };
        let given = read(given)?;
        let Some(kept) = kept.map(read).transpose()? else { return Ok(()) };
        if kept.origin != given.origin {
            return Err(Self::OtherLog { kept: kept.origin, given: given.origin });
        }
        if kept.size > given.size {
            return Err(Self::Older { kept: kept.size, given: given.size });
        }
        if kept.size == given.size && kept.root != given.root {
            return Err(Self::Forked { size: kept.size, kept: kept.root, given: given.root });
        }
        Ok(())
    }
}

impl Reaction for KeepError {
    fn fault(&self) -> Fault {
        match self {
            Self::Storage(error) => error.fault(),
            Self::Checkpoint(_) | Self::Older { .. } | Self::Forked { .. } => Fault::Environment,
            Self::OtherLog { .. } => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Storage(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}

/// The last checkpoint in memory: for tests, and for processes that are watched by others. It survives nothing.
#[derive(Debug, Default)]
pub struct KeeperInMemory(Mutex<Option<String>>);

impl KeeperInMemory {
    /// No checkpoint.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl CheckpointKeeper for KeeperInMemory {
    async fn last(&self) -> Result<Option<String>, StorageError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn keep(&self, checkpoint: &str) -> Result<(), KeepError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        KeepError::check(kept.as_deref(), checkpoint)?;
        *kept = Some(checkpoint.to_owned());
        Ok(())
    }
}
