//! Why a log does not go on.

use daa_core::event::{AppendError, DecodeError, ReadError};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::IdError;

use crate::audit::checkpoint::{CheckpointError, SealError};
use crate::audit::hash::TreeHash;
use crate::audit::journal::JournalError;
use crate::audit::keeper::KeepError;
use crate::audit::key::KeyError;
use crate::audit::note::{KeyName, NoteError};
use crate::audit::reader::LogReadError;
use crate::audit::record::RecordError;
use crate::audit::rotation::RotationError;
use crate::audit::tile::TileError;
use crate::audit::tiles::StorageError;

/// Why a log does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The log is behind a checkpoint that it gave out: the store, or all of it, was put back to an earlier state.
    #[error("the log has {size} records, and gave out a checkpoint of {given}: it was rolled back")]
    RolledBack {
        /// The size of the checkpoint.
        given: u64,
        /// The size of the log.
        size: u64,
    },
    /// The log is another one than the checkpoint that it gave out says.
    #[error("the first {size} records have root {actual}, the log gave out {given}: it was forked")]
    Forked {
        /// The size of the checkpoint.
        size: u64,
        /// The root that was given out.
        given: TreeHash,
        /// The root of the log.
        actual: TreeHash,
    },
    /// The files do not have the root that the store says.
    #[error("the files of the log are not those of its last checkpoint, of {size} records")]
    Damaged {
        /// The size of the log.
        size: u64,
    },
    /// The statement of a new key is neither in the files nor in the store any more: put it back from wherever it was
    /// copied to. Without it nobody who trusts an earlier key can be shown anything.
    #[error("the statement of the log's new key number {number} is neither in its files nor in the store")]
    StatementLost {
        /// Which of the new keys, from 1.
        number: u64,
    },
    /// Somebody else goes on with the log.
    #[error("somebody else goes on with the log")]
    Superseded,
    /// Whether the last step became durable is not known. Open the log again.
    #[error("whether the last checkpoint is in the store is not known: open the log again")]
    Lost,
    /// The end of the log's own stream was erased.
    #[error("the end of the log's stream was erased")]
    Erased,
    /// The log's key is another one.
    #[error("the log's key is {expected}, not {actual}")]
    OtherKey {
        /// The key of the log.
        expected: String,
        /// The key it was opened with.
        actual: String,
    },
    /// The checkpoint that was kept or published is of another log.
    #[error("the checkpoint that was kept is of log {actual}, not of {expected}")]
    OtherLog {
        /// The log that is opened.
        expected: KeyName,
        /// The log of the checkpoint.
        actual: KeyName,
    },
    /// A log has at most 256 keys, one after the other.
    #[error("the log has had too many keys")]
    TooManyKeys,
    /// A record has no bytes.
    #[error("an event has no record")]
    Record(#[from] RecordError),
    /// A record does not fit.
    #[error("a record does not fit into the log")]
    Tile(#[from] TileError),
    /// The store could not be read.
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
    /// The store did not take a step of the log.
    #[error("the store did not accept the checkpoint")]
    Append(#[from] AppendError),
    /// An event of the log's stream does not decode.
    #[error("the log's stream cannot be understood")]
    Decode(#[from] DecodeError),
    /// An event of the log's stream cannot be written.
    #[error("the log's stream cannot be written")]
    Journal(#[from] JournalError),
    /// The name of the log is not an id.
    #[error("the name of the log is not an id")]
    Name(#[from] IdError),
    /// The files, or what was kept, are unavailable.
    #[error("the files of the log are unavailable")]
    Storage(#[from] StorageError),
    /// The checkpoint was not kept. One that is newer is kept already where somebody else has gone on with the log.
    #[error("the checkpoint is not kept")]
    Keep(#[from] KeepError),
    /// The files cannot be read.
    #[error("the files of the log cannot be read")]
    Files(#[from] LogReadError),
    /// A checkpoint that was kept is no signed note.
    #[error("the checkpoint that was kept is no signed note")]
    Note(#[from] NoteError),
    /// A note is no checkpoint, or the log cannot be called as its key is.
    #[error("the log has no checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint is not signed.
    #[error("the checkpoint is not signed")]
    Seal(#[from] SealError),
    /// A key is not one of a log.
    #[error("the log cannot have this key")]
    Key(#[from] KeyError),
    /// The log cannot get this key.
    #[error("the log cannot get this key")]
    Rotation(#[from] RotationError),
}

impl Reaction for AuditError {
    fn fault(&self) -> Fault {
        match self {
            Self::RolledBack { .. }
            | Self::Forked { .. }
            | Self::Damaged { .. }
            | Self::StatementLost { .. }
            | Self::Erased => Fault::Environment,
            Self::Superseded
            | Self::Lost
            | Self::OtherKey { .. }
            | Self::OtherLog { .. }
            | Self::TooManyKeys
            | Self::Name(_)
            | Self::Rotation(_) => Fault::Caller,
            Self::Record(_) | Self::Tile(_) | Self::Journal(_) => Fault::Bug,
            Self::Read(error) => error.fault(),
            Self::Append(error) => error.fault(),
            Self::Storage(error) => error.fault(),
            Self::Keep(error) => error.fault(),
            Self::Files(error) => error.fault(),
            Self::Decode(_) | Self::Note(_) => Fault::Environment,
            Self::Checkpoint(error) => error.fault(),
            Self::Seal(error) => error.fault(),
            Self::Key(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Read(error) => error.retry(),
            Self::Append(error) => error.retry(),
            Self::Storage(error) => error.retry(),
            Self::Keep(error) => error.retry(),
            Self::Files(error) => error.retry(),
            Self::Seal(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}
