//! A log that gets a new key: the old one says which.

use std::fmt;

use daa_core::fault::{Fault, Reaction, Retry};

use super::checkpoint::{Checkpoint, CheckpointError, SealError};
use super::key::{KeyError, KeyUse, NoteSigner, NoteVerifier, PublicKey};
use super::note::{Note, NoteError, SignatureState};

/// What the text of a rotation begins with. No log can have this name, so no rotation can be taken for a checkpoint.
pub(super) const ROTATION: &str = "daa-audit-rotation/v1";

/// The statement that from a checkpoint on a log is signed by another key. Signed by both keys: the old one hands over,
/// the new one shows that it is somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// The last checkpoint of the old key.
    pub last: Checkpoint,
    /// The key that signed until then.
    pub old: PublicKey,
    /// The key that signs from then on.
    pub new: PublicKey,
}

/// A note that does not hand over a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// No signed note.
    #[error("the rotation is no signed note")]
    Note(#[from] NoteError),
    /// Not the lines of a rotation.
    #[error("a rotation has six lines, and begins with {ROTATION}")]
    Lines,
    /// The checkpoint in it is none.
    #[error("the rotation has no checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// One of the keys is none.
    #[error("the rotation has no key")]
    Key(#[from] KeyError),
    /// A key that is not one of this log.
    #[error("the key {name} is none of log {origin}")]
    OtherLog {
        /// The name of the key.
        name: String,
        /// The log.
        origin: String,
    },
    /// The old key is not the one that is trusted.
    #[error("the rotation is of key {actual}, the log's key is {expected}")]
    OtherKey {
        /// The key that is trusted.
        expected: String,
        /// The key that hands over.
        actual: String,
    },
    /// One of both keys did not sign.
    #[error("the rotation is not signed by {key}")]
    Unsigned {
        /// The key.
        key: String,
    },
}

impl Reaction for RotationError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Rotation {
    /// The statement that `last` is the last checkpoint of `old`.
    ///
    /// # Errors
    /// [`RotationError::OtherLog`] when one of the keys is not called as the log, or is a witness's.
    pub fn new(last: Checkpoint, old: PublicKey, new: PublicKey) -> Result<Self, RotationError> {
        for key in [&old, &new] {
            if *key.name() != last.origin || key.usage() != KeyUse::Log {
                let (name, origin) = (key.name().to_string(), last.origin.to_string());
                return Err(RotationError::OtherLog { name, origin });
            }
        }
        Ok(Self { last, old, new })
    }

    /// The note that says so.
    pub(super) fn sign(&self, old: &dyn NoteSigner, new: &dyn NoteSigner) -> Result<Note, SealError> {
        let mut note = Note::new(self.to_string())?;
        note.sign(old)?;
        note.sign(new)?;
        Ok(note)
    }

    /// Reads a note that hands over from a trusted key.
    ///
    /// # Errors
    /// [`RotationError`].
    pub fn verify(note: &Note, trusted: &PublicKey) -> Result<Self, RotationError> {
        Self::read(note)?.hands_over_from(trusted)
    }

    /// Whether it is this key that hands over.
    pub(super) fn hands_over_from(self, trusted: &PublicKey) -> Result<Self, RotationError> {
        if self.old == *trusted {
            return Ok(self);
        }
        Err(RotationError::OtherKey { expected: trusted.to_string(), actual: self.old.to_string() })
    }

    /// Reads a note that both its keys have signed, whoever they are.
    pub(super) fn read(note: &Note) -> Result<Self, RotationError> {
        let rotation = Self::parse(note.text())?;
        for key in [&rotation.old, &rotation.new] {
            if note.state(key) != SignatureState::Verified {
                return Err(RotationError::Unsigned { key: key.to_string() });
            }
        }
        Ok(rotation)
    }

    fn parse(text: &str) -> Result<Self, RotationError> {
        let rest = text.strip_prefix(ROTATION).and_then(|rest| rest.strip_prefix('\n'));
        let lines: Vec<&str> = rest.ok_or(RotationError::Lines)?.split_inclusive('\n').collect();
        let [origin, size, root, old, new] = lines.as_slice() else { return Err(RotationError::Lines) };
        let last = Checkpoint::parse(&format!("{origin}{size}{root}"))?;
        let rotation = Self::new(last, old.trim_end().parse()?, new.trim_end().parse()?)?;
        // The one way to write it.
        if rotation.to_string() == text { Ok(rotation) } else { Err(RotationError::Lines) }
    }
}

/// The text of the note.
impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{ROTATION}\n{}{}\n{}", self.last, self.old, self.new)
    }
}
