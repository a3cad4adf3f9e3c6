//! Checkpoints: how many records a log has, and the root of their tree. C2SP tlog-checkpoint.

use std::fmt;

use daa_core::fault::{Fault, Reaction, Retry};

use super::hash::TreeHash;
use super::key::{COSIGNATURE, NoteSigner, SignError};
use super::note::{KeyName, Note, NoteError};
use super::proof::{Proof, ProofError};
use super::rotation::ROTATION;

/// The state of a log: a promise that its first `size` records are those of `root`, and stay so.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Which log: the name of its key.
    pub origin: KeyName,
    /// How many records it has.
    pub size: u64,
    /// The root of their tree.
    pub root: TreeHash,
}

/// A note that is no checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// No signed note.
    #[error("the checkpoint is no signed note")]
    Note(#[from] NoteError),
    /// Fewer than three lines.
    #[error("a checkpoint has an origin, a size and a root")]
    Lines,
    /// A size that is no decimal number, or has leading zeros.
    #[error("the size of a checkpoint is a decimal number")]
    Size,
    /// A root that is no hash.
    #[error("the root of a checkpoint is a hash")]
    Root,
    /// A root of no records that is not the hash of nothing.
    #[error("the root of no records is the hash of nothing")]
    Empty,
    /// An empty line behind the root.
    #[error("a checkpoint has no empty lines")]
    Extension,
    /// The name of something else that keys sign.
    #[error("a log cannot be called {origin}")]
    Origin {
        /// The name.
        origin: KeyName,
    },
}

impl Reaction for CheckpointError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Checkpoint {
    /// A checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`] for a name that other signed texts begin with, [`CheckpointError::Empty`] for a size
    /// of zero with another root than [`TreeHash::EMPTY`].
    pub fn new(origin: KeyName, size: u64, root: TreeHash) -> Result<Self, CheckpointError> {
        if [COSIGNATURE, ROTATION].contains(&origin.as_str()) {
            return Err(CheckpointError::Origin { origin });
        }
        if size == 0 && root != TreeHash::EMPTY {
            return Err(CheckpointError::Empty);
        }
        Ok(Self { origin, size, root })
    }

    /// Reads the text of a note. Lines behind the third are allowed, and say nothing here.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
        let mut line = || lines.next().ok_or(CheckpointError::Lines);
        let (origin, size, root) = (line()?, line()?, line()?);
        let number: u64 = size.parse().map_err(|_| CheckpointError::Size)?;
        // The one way to write it: no sign, no leading zeros.
        if number.to_string() != size {
            return Err(CheckpointError::Size);
        }
        let root = root.parse().map_err(|_| CheckpointError::Root)?;
        if lines.any(str::is_empty) {
            return Err(CheckpointError::Extension);
        }
        Self::new(origin.parse()?, number, root)
    }

    /// Whether no log can have both: as many records, and another root.
    pub(super) fn contradicts(&self, other: &Self) -> bool {
        self.size == other.size && self.root != other.root
    }

    /// Whether a proof leads from the smaller one of both to the larger one, whichever that is.
    pub(super) fn verify_consistency(&self, other: &Self, proof: &Proof) -> Result<(), ProofError> {
        let (old, new) = if self.size <= other.size { (self, other) } else { (other, self) };
        proof.verify_consistency((old.size, &old.root), (new.size, &new.root))
    }

    /// The note that says so, signed by these keys.
    pub(super) fn sign(&self, signers: &[&dyn NoteSigner]) -> Result<Note, SealError> {
        let mut note = Note::new(self.to_string())?;
        signers.iter().try_for_each(|signer| note.sign(*signer))?;
        Ok(note)
    }
}

/// The text of the note, with the new line at its end.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} with {}", self.origin, self.size, self.root)
    }
}

/// A note that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A key did not sign.
    #[error("a key did not sign")]
    Sign(#[from] SignError),
    /// There is no note of this text.
    #[error("the text cannot be a note")]
    Note(#[from] NoteError),
}

impl Reaction for SealError {
    fn fault(&self) -> Fault {
        match self {
            Self::Sign(error) => error.fault(),
            Self::Note(_) => Fault::Bug,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Sign(error) => error.retry(),
            Self::Note(_) => Retry::Never,
        }
    }
}
