//! Witnesses: others who sign a log's checkpoints, each one going on from all that they signed before.

mod memory;
mod request;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use daa_core::clock::Timestamp;
use daa_core::fault::{Fault, Reaction, Retry};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::hash::TreeHash;
use super::key::{KeyUse, NoteSigner, PublicKey, SecretKey};
use super::note::{KeyName, Note, NoteError};
use super::proof::ProofError;
use super::tiles::StorageError;
use super::trust::{Trust, TrustError};

pub use memory::WitnessFile;
pub use request::{CosignRequest, MAX_REQUEST, RequestError};

/// What a witness signed last of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// How many records the log had.
    pub size: u64,
    /// The root of their tree.
    pub root: TreeHash,
}

impl Seen {
    /// Of a log that nothing was signed of.
    pub const NOTHING: Self = Self { size: 0, root: TreeHash::EMPTY };

    /// For those who implement a memory.
    #[must_use]
    pub const fn new(size: u64, root: TreeHash) -> Self {
        Self { size, root }
    }
}

/// Where a witness remembers what it signed.
///
/// # Contract
///
/// An implementation must make [`advance`](Self::advance) durable before it returns, and must change nothing where the
/// log is not at `from` any more: two requests at once must not both go on from the same state.
#[async_trait]
pub trait WitnessMemory: Send + Sync + fmt::Debug {
    /// What was signed last of a log; [`Seen::NOTHING`] where nothing was.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn seen(&self, origin: &KeyName) -> Result<Seen, StorageError>;

    /// Remembers `to`, unless something else than `from` is remembered; and whether it did.
    ///
    /// # Errors
    /// [`StorageError`]: it may be remembered or not.
    async fn advance(&self, origin: &KeyName, from: Seen, to: Seen) -> Result<bool, StorageError>;
}

/// Signs checkpoints of the logs that it knows, as C2SP tlog-witness has it, whatever carries the requests.
///
/// It signs nothing that does not go on from what it signed last. So who shows two people two different logs needs to
/// have all witnesses on his side.
#[derive(Debug)]
pub struct Witness<M> {
    key: SecretKey,
    logs: BTreeMap<KeyName, Trust>,
    memory: M,
}

/// Why a witness does not sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// Its key is that of a log.
    #[error("the key {key} is not one of a witness")]
    OtherUse {
        /// The public half of the key.
        key: String,
    },
    /// A log that it does not know. As HTTP: 404.
    #[error("the log {origin} is not known here")]
    UnknownLog {
        /// The log.
        origin: KeyName,
    },
    /// No checkpoint. As HTTP: 400.
    #[error("the request has no checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint that the log did not sign. As HTTP: 403.
    #[error("the log did not sign the checkpoint")]
    Untrusted(#[from] TrustError),
    /// A proof that goes from another size than the one that was signed last; ask again with one from there. As HTTP:
    /// 409, with the size.
    #[error("a proof from size {requested}, the last checkpoint that was signed is of {seen}")]
    OtherSize {
        /// What was signed last.
        seen: u64,
        /// Where the proof goes from.
        requested: u64,
    },
    /// A proof from a larger size than that of the checkpoint. As HTTP: 400.
    #[error("a proof from size {old} to a checkpoint of {size} records")]
    Shrunk {
        /// Where the proof goes from.
        old: u64,
        /// The size of the checkpoint.
        size: u64,
    },
    /// A checkpoint that is as large as the one that was signed last, and another: the log forked. As HTTP: 409, with the
    /// size.
    #[error("another checkpoint of {seen} records was signed, with root {signed} and not {given}")]
    Forked {
        /// The size of both.
        seen: u64,
        /// The root of the one that was signed.
        signed: TreeHash,
        /// The root of the one that was not.
        given: TreeHash,
    },
    /// A checkpoint that does not go on from what was signed last: the log forked. As HTTP: 422.
    #[error("the checkpoint does not go on from the last one that was signed, of size {seen}")]
    Inconsistent {
        /// What was signed last.
        seen: u64,
        /// Why not.
        #[source]
        source: ProofError,
    },
    /// It cannot remember, so it does not sign.
    #[error("the witness cannot remember")]
    Memory(#[from] StorageError),
}

impl Reaction for WitnessError {
    fn fault(&self) -> Fault {
        match self {
            Self::OtherUse { .. } => Fault::Caller,
            Self::Memory(error) => error.fault(),
            _ => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::OtherSize { .. } => Retry::Now,
            Self::Memory(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}

impl<M: WitnessMemory> Witness<M> {
    /// A witness that knows no log.
    ///
    /// # Errors
    /// [`WitnessError::OtherUse`] for the key of a log.
    pub fn new(key: SecretKey, memory: M) -> Result<Self, WitnessError> {
        if key.public_key().usage() != KeyUse::Witness {
            return Err(WitnessError::OtherUse { key: key.public_key().to_string() });
        }
        Ok(Self { key, logs: BTreeMap::new(), memory })
    }

    /// Lets it sign for a log too.
    #[must_use]
    pub fn with_log(mut self, log: Trust) -> Self {
        self.logs.insert(log.origin().clone(), log);
        self
    }

    /// The public half of its key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    /// What it remembers.
    #[must_use]
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// Signs a checkpoint that goes on from the last one; the answer is the line of a signature. It is remembered before
    /// it is signed.
    ///
    /// # Errors
    /// [`WitnessError`]; nothing is signed then.
    ///
    /// # Cancel safety
    /// A dropped call may have remembered the checkpoint without signing it; asking again, from its size, signs it.
    pub async fn cosign(&self, request: &CosignRequest, now: Timestamp) -> Result<String, WitnessError> {
        let origin = Checkpoint::parse(request.checkpoint.text())?.origin;
        let log = self.logs.get(&origin).ok_or(WitnessError::UnknownLog { origin: origin.clone() })?;
        let checkpoint = log.verify_log(&request.checkpoint)?;
        if request.old > checkpoint.size {
            return Err(WitnessError::Shrunk { old: request.old, size: checkpoint.size });
        }
        let seen = self.memory.seen(&origin).await?;
        if seen.size != request.old {
            return Err(WitnessError::OtherSize { seen: seen.size, requested: request.old });
        }
        let to = Seen::new(checkpoint.size, checkpoint.root);
        if seen.size == to.size && seen.root != to.root {
            return Err(WitnessError::Forked { seen: seen.size, signed: seen.root, given: to.root });
        }
        let consistent = request.proof.verify_consistency((seen.size, &seen.root), (to.size, &to.root));
        consistent.map_err(|source| WitnessError::Inconsistent { seen: seen.size, source })?;
        if !self.memory.advance(&origin, seen, to).await? {
            // Another request was faster.
            let seen = self.memory.seen(&origin).await?;
            return Err(WitnessError::OtherSize { seen: seen.size, requested: request.old });
        }
        Ok(self.signature(&request.checkpoint, now)?)
    }

    fn signature(&self, checkpoint: &Note, now: Timestamp) -> Result<String, CheckpointError> {
        let stamped = Stamped { key: &self.key, now };
        let mut note = Note::new(checkpoint.text().to_owned())?;
        // The key is in memory, and signs always.
        note.sign(&stamped).map_err(|_| NoteError::Unsigned)?;
        Ok(note.last_line())
    }
}

/// The key of a witness at a time.
#[derive(Debug)]
struct Stamped<'k> {
    key: &'k SecretKey,
    now: Timestamp,
}

impl NoteSigner for Stamped<'_> {
    fn name(&self) -> &KeyName {
        NoteSigner::name(self.key)
    }

    fn key_id(&self) -> super::key::KeyId {
        NoteSigner::key_id(self.key)
    }

    fn public(&self) -> String {
        self.key.public()
    }

    fn sign(&self, text: &str) -> Result<Vec<u8>, super::key::SignError> {
        Ok(self.key.cosign(text, self.now))
    }
}
