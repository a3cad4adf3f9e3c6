//! What can go wrong with a key file.

use std::io;
use std::path::PathBuf;

use crate::error::{DecodeError, Fault, KeyError, RandomnessError, Reaction};

/// A key was not locked, unlocked, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// These bytes are no key file, or hold a key that the policy refuses.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The passphrase is another one, or the file was changed. Which of the two cannot be told.
    #[error("the passphrase is wrong, or the key file was changed")]
    Rejected,
    /// It holds a key of another kind: one that signs, where one that decapsulates was asked for, or the reverse.
    #[error("the key file holds a key of another kind, of algorithm {algorithm:#06x}")]
    OtherKind {
        /// The id of the algorithm of the key in it.
        algorithm: u16,
    },
    /// The key in it could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The memory that the parameters ask for is not to be had.
    #[error("the memory for Argon2 is not to be had")]
    Memory,
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is in its place, but the file system did not say that it is there to stay: after a crash it may be gone, or the
    /// older one may be back.
    #[error("{} is written, but may not outlast a crash: {source}", path.display())]
    NotDurable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is a file of this name already, and it stays as it is.
    #[error("{} exists already", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Others than the owner may read the file.
    #[error("{} has mode {mode:03o}: others than its owner may use it; make it 600", path.display())]
    Permissions {
        /// Which file.
        path: PathBuf,
        /// Its mode, permissions only.
        mode: u32,
    },
    /// The file is longer than any key file.
    #[error("{} is longer than any key file", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
}

impl Reaction for KeyFileError {
    fn fault(&self) -> Fault {
        match self {
            Self::Decode(_) | Self::Rejected | Self::TooLong { .. } => Fault::Peer,
            Self::OtherKind { .. } | Self::Exists { .. } | Self::Permissions { .. } => Fault::Caller,
            Self::Key(error) => error.fault(),
            Self::Randomness(_) | Self::Memory | Self::Io { .. } | Self::NotDurable { .. } => {
                Fault::Environment
            }
        }
    }
}
