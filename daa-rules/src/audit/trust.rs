//! Whom a verifier believes: the log's key, further keys that must have signed, and witnesses.

use std::sync::Arc;

use daa_core::fault::{Fault, Reaction, Retry};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::hash::TreeHash;
use super::key::{KeyUse, NoteVerifier, PublicKey};
use super::note::{KeyName, Note, SignatureState};
use super::rotation::{Rotation, RotationError};

/// Whom a verifier believes about a log.
///
/// A checkpoint counts when the log's key has signed it, all further keys that are required have, and so have at least
/// as many witnesses as the quorum says. Signatures of other keys say nothing, and do no harm.
#[derive(Clone, Debug)]
pub struct Trust {
    log: PublicKey,
    required: Vec<Arc<dyn NoteVerifier>>,
    witnesses: Vec<Arc<dyn NoteVerifier>>,
    quorum: usize,
    /// The last checkpoint of the key before, of a log that got a new one.
    handed_over: Option<Checkpoint>,
}

/// A checkpoint that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trusted {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The witnesses that signed it.
    pub witnesses: Vec<Cosigned>,
}

/// What a witness said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cosigned {
    /// The name of the witness.
    pub witness: KeyName,
    /// When, in seconds since the Unix epoch, by its clock.
    pub seconds: u64,
}

/// A checkpoint that does not count, or witnesses that cannot be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The key of a witness, where that of a log is needed, or the reverse.
    #[error("the key {key} is for another use")]
    OtherUse {
        /// The key.
        key: String,
    },
    /// More witnesses are needed than there are.
    #[error("a quorum of {quorum} of {witnesses} witnesses cannot be reached")]
    Quorum {
        /// How many are needed.
        quorum: usize,
        /// How many there are.
        witnesses: usize,
    },
    /// One key as two witnesses, or as witness and log.
    #[error("the key of {name} is there twice")]
    SameKey {
        /// The name of the second.
        name: KeyName,
    },
    /// No checkpoint.
    #[error("the note is no checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint of another log.
    #[error("the checkpoint is of log {actual}, not of {expected}")]
    OtherLog {
        /// The log that is trusted.
        expected: KeyName,
        /// Whose checkpoint it is.
        actual: KeyName,
    },
    /// A key that must have signed has not.
    #[error("the checkpoint is not signed by {name}")]
    Unsigned {
        /// The name of the key.
        name: KeyName,
    },
    /// A signature in a known name that is wrong.
    #[error("the signature of {name} is wrong")]
    WrongSignature {
        /// The name of the key.
        name: KeyName,
    },
    /// Too few witnesses have signed.
    #[error("{actual} witnesses have signed, {quorum} are needed")]
    TooFewWitnesses {
        /// How many are needed.
        quorum: usize,
        /// How many have.
        actual: usize,
    },
    /// A log that did not get a new key as it says.
    #[error("the log did not get a new key")]
    Rotation(#[from] RotationError),
    /// A checkpoint of a new key that is older than the last of the key before.
    #[error("a checkpoint of {actual} records of a key that began at {last}")]
    BeforeRotation {
        /// The size at which the key began.
        last: u64,
        /// The size of the checkpoint.
        actual: u64,
    },
    /// A checkpoint of an old key that is newer than the last one that it handed over with.
    #[error("a checkpoint of {actual} records of a key that ended at {last}")]
    AfterRotation {
        /// The size at which the key ended.
        last: u64,
        /// The size of the checkpoint.
        actual: u64,
    },
    /// Two checkpoints of one size with different roots, both signed: the log forked.
    #[error(
        "a checkpoint of {size} records with root {actual}, where the log handed over {expected}: it forked"
    )]
    Forked {
        /// The size of both.
        size: u64,
        /// The root of the one that is known.
        expected: TreeHash,
        /// The root of the other one.
        actual: TreeHash,
    },
    /// A key that got the log twice, each time with another checkpoint.
    #[error("the log's key began at {expected} records, and here at {actual}")]
    OtherBeginning {
        /// The size at which it began as far as is known.
        expected: u64,
        /// The size at which it began otherwise.
        actual: u64,
    },
}

/// The time of a key, in checkpoints: from the last one of the key before, to its own last one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Term<'c> {
    pub(super) first: Option<&'c Checkpoint>,
    pub(super) last: Option<&'c Checkpoint>,
}

impl Term<'_> {
    /// Whether a checkpoint is of this time. One of the same size as the first or the last one is the same.
    pub(super) fn has(self, checkpoint: &Checkpoint) -> Result<(), TrustError> {
        let actual = checkpoint.size;
        for known in [self.first, self.last].into_iter().flatten() {
            if known.contradicts(checkpoint) {
                let (size, expected, actual) = (known.size, known.root, checkpoint.root);
                return Err(TrustError::Forked { size, expected, actual });
            }
        }
        match (self.first, self.last) {
            (Some(first), _) if actual < first.size => {
                Err(TrustError::BeforeRotation { last: first.size, actual })
            }
            (_, Some(last)) if actual > last.size => {
                Err(TrustError::AfterRotation { last: last.size, actual })
            }
            _ => Ok(()),
        }
    }
}

impl Reaction for TrustError {
    fn fault(&self) -> Fault {
        match self {
            Self::OtherUse { .. } | Self::Quorum { .. } | Self::SameKey { .. } => Fault::Caller,
            _ => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            // It may be signed by more of them later.
            Self::TooFewWitnesses { .. } => Retry::Later,
            _ => Retry::Never,
        }
    }
}

impl Trust {
    /// Trust in the log of this key, without witnesses.
    ///
    /// # Errors
    /// [`TrustError::OtherUse`] for the key of a witness.
    pub fn in_log(key: PublicKey) -> Result<Self, TrustError> {
        if key.usage() != KeyUse::Log {
            return Err(TrustError::OtherUse { key: key.to_string() });
        }
        Ok(Self { log: key, required: Vec::new(), witnesses: Vec::new(), quorum: 0, handed_over: None })
    }

    /// Demands the signature of a further key too, such as one of another algorithm.
    #[must_use]
    pub fn with_required(mut self, key: Arc<dyn NoteVerifier>) -> Self {
        self.required.push(key);
        self
    }

    /// Demands that `quorum` of these witnesses have signed.
    ///
    /// # Errors
    /// [`TrustError::Quorum`] when there are not so many, [`TrustError::SameKey`] when one of them is there twice.
    pub fn with_witnesses(
        mut self,
        witnesses: Vec<Arc<dyn NoteVerifier>>,
        quorum: usize,
    ) -> Result<Self, TrustError> {
        if quorum > witnesses.len() {
            return Err(TrustError::Quorum { quorum, witnesses: witnesses.len() });
        }
        let mut known = vec![self.log.key_bytes()];
        for witness in &witnesses {
            if known.contains(&witness.key_bytes()) {
                return Err(TrustError::SameKey { name: witness.name().clone() });
            }
            known.push(witness.key_bytes());
        }
        (self.witnesses, self.quorum) = (witnesses, quorum);
        Ok(self)
    }

    /// The same trust in another key of the log.
    pub(super) fn with_key(mut self, key: PublicKey, began: Option<Checkpoint>) -> Result<Self, TrustError> {
        (self.log, self.handed_over) = (key, began);
        let (witnesses, quorum) = (self.witnesses.clone(), self.quorum);
        self.with_witnesses(witnesses, quorum)
    }

    /// The log's key.
    #[must_use]
    pub const fn log_key(&self) -> &PublicKey {
        &self.log
    }

    /// Which log.
    #[must_use]
    pub fn origin(&self) -> &KeyName {
        self.log.name()
    }

    /// The same trust in the key that the log got.
    ///
    /// # Errors
    /// [`TrustError::Rotation`] when the key that is trusted did not hand over; [`TrustError::BeforeRotation`] and
    /// [`TrustError::Forked`] when it handed over what it did not get.
    pub fn after(self, rotation: &Note) -> Result<Self, TrustError> {
        let rotation = Rotation::verify(rotation, &self.log)?;
        Term { first: self.handed_over.as_ref(), last: None }.has(&rotation.last)?;
        self.with_key(rotation.new, Some(rotation.last))
    }

    /// The last checkpoint of the key before, which every later one must go on from. That it does takes a proof; a [`Bundle`]
    /// has it.
    ///
    /// [`Bundle`]: super::Bundle
    #[must_use]
    pub const fn handed_over(&self) -> Option<&Checkpoint> {
        self.handed_over.as_ref()
    }

    /// Whether a checkpoint counts, and what it says.
    ///
    /// # Errors
    /// [`TrustError`] says why it does not.
    pub fn verify(&self, note: &Note) -> Result<Trusted, TrustError> {
        let checkpoint = self.verify_log(note)?;
        Ok(Trusted { checkpoint, witnesses: self.verify_witnesses(note)? })
    }

    /// The witnesses that have signed, if they are enough.
    pub(super) fn verify_witnesses(&self, note: &Note) -> Result<Vec<Cosigned>, TrustError> {
        let mut witnesses = Vec::new();
        for witness in &self.witnesses {
            match note.state(&**witness) {
                SignatureState::Absent => {}
                SignatureState::Wrong => {
                    return Err(TrustError::WrongSignature { name: witness.name().clone() });
                }
                SignatureState::Verified => {
                    let seconds = note.cosigned_at(&**witness).unwrap_or_default();
                    witnesses.push(Cosigned { witness: witness.name().clone(), seconds });
                }
            }
        }
        if witnesses.len() < self.quorum {
            return Err(TrustError::TooFewWitnesses { quorum: self.quorum, actual: witnesses.len() });
        }
        Ok(witnesses)
    }

    /// Whether the log has signed a checkpoint, whatever witnesses say.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_log(&self, note: &Note) -> Result<Checkpoint, TrustError> {
        self.verify_by(note, &self.log, Term { first: self.handed_over.as_ref(), last: None })
    }

    /// Whether a key of the log has signed a checkpoint of its time, and all keys have that are required.
    pub(super) fn verify_by(
        &self,
        note: &Note,
        log: &PublicKey,
        term: Term<'_>,
    ) -> Result<Checkpoint, TrustError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != *self.origin() {
            let (expected, actual) = (self.origin().clone(), checkpoint.origin);
            return Err(TrustError::OtherLog { expected, actual });
        }
        let log: &dyn NoteVerifier = log;
        for key in [log].into_iter().chain(self.required.iter().map(|key| &**key)) {
            match note.state(key) {
                SignatureState::Verified => {}
                SignatureState::Absent => return Err(TrustError::Unsigned { name: key.name().clone() }),
                SignatureState::Wrong => {
                    return Err(TrustError::WrongSignature { name: key.name().clone() });
                }
            }
        }
        term.has(&checkpoint)?;
        Ok(checkpoint)
    }
}
