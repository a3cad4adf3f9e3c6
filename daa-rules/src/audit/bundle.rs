//! Proof bundles: one file from which somebody who has only the log's public key can see what was recorded, and that it
//! was.

mod make;

use std::fmt;

use daa_core::fault::{Fault, Reaction, Retry};
use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoint;
use super::commitment::Disclosure;
use super::hash::TreeHash;
use super::key::PublicKey;
use super::note::{Note, NoteError};
use super::proof::{Proof, ProofError};
use super::reader::MAX_ROTATIONS;
use super::record::{DisclosureError, Record, RecordError};
use super::succession::Succession;
use super::trust::{Cosigned, Trust, TrustError};

pub use make::BundleError;

/// The largest bundle, in bytes (16 MiB).
pub const MAX_BUNDLE: usize = 16 << 20;
/// The most records in a bundle.
pub const MAX_RECORDS: usize = 10_000;
/// The most parts of one event that are shown: each of them once.
const MAX_DISCLOSURES: usize = 16;

/// Says what the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "daa-audit-bundle/v1")]
    V1,
}

/// Records of a log, and what it takes to believe them. JSON in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    format: Format,
    /// The checkpoint that everything is proved against, with its signatures.
    checkpoint: String,
    /// The statements by which the log got its keys, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rotations: Vec<HandOver>,
    records: Vec<Entry>,
    /// An earlier checkpoint that the log went on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earlier: Option<Earlier>,
}

/// A record, and the proof that it is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    index: u64,
    /// The bytes of the record, which are JSON themselves.
    record: String,
    proof: Proof,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    disclosures: Vec<Disclosure>,
}

/// A statement by which the log got a new key, and the proof that the checkpoint with which it was handed over and that of
/// the bundle are of one log, whichever is the later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HandOver {
    statement: String,
    proof: Proof,
}

/// A checkpoint from before, and the proof that the log went on from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Earlier {
    checkpoint: String,
    proof: Proof,
}

/// What a bundle proves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The checkpoint that everything was proved against.
    pub checkpoint: Checkpoint,
    /// The key that signed it: that of the log at that time.
    pub key: PublicKey,
    /// The witnesses that signed it.
    pub witnesses: Vec<Cosigned>,
    /// The records, in the order of the bundle.
    pub records: Vec<VerifiedRecord>,
    /// The earlier checkpoint that the log went on from.
    pub earlier: Option<Checkpoint>,
    /// How many times the log got a new key, as far as the bundle says.
    pub rotations: usize,
}

/// A record that is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedRecord {
    /// Its number: which leaf of the tree it is.
    pub index: u64,
    /// Its leaf.
    pub leaf: TreeHash,
    /// What it says.
    pub record: Record,
    /// What of the event is shown, and is what the record means.
    pub disclosures: Vec<Disclosure>,
}

/// Why a bundle proves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// More than [`MAX_BUNDLE`] bytes.
    #[error("a bundle has at most {MAX_BUNDLE} bytes, this one has {actual}")]
    TooLarge {
        /// How many it has.
        actual: usize,
    },
    /// Not the JSON of a bundle.
    #[error("the bundle does not decode")]
    Json(#[from] serde_json::Error),
    /// Too many of something.
    #[error("{actual} {what} in a bundle, at most {limit} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        actual: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// No records, and no earlier checkpoint.
    #[error("the bundle proves nothing: it has no records and no earlier checkpoint")]
    Empty,
    /// A checkpoint or a rotation is no note.
    #[error("a note of the bundle is none")]
    Note(#[from] NoteError),
    /// The checkpoint, or the earlier one, does not count.
    #[error("the checkpoint of the bundle cannot be trusted")]
    Trust(#[from] TrustError),
    /// A record that is none.
    #[error("record {index} is none")]
    Record {
        /// Its number.
        index: u64,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
    /// A record that is not in the log.
    #[error("record {index} is not in the log")]
    NotInLog {
        /// Its number.
        index: u64,
        /// Where its proof fails.
        #[source]
        source: ProofError,
    },
    /// Something is shown that a record does not mean.
    #[error("what is shown of record {index} is not what was recorded")]
    Disclosure {
        /// Its number.
        index: u64,
        /// What does not fit.
        #[source]
        source: DisclosureError,
    },
    /// The checkpoint and the one with which a key handed over are not of one log.
    #[error("the log is not the one that was handed over to new key number {number}")]
    HandOver {
        /// Which of the new keys, from 1.
        number: usize,
        /// Where its proof fails.
        #[source]
        source: ProofError,
    },
    /// The log did not go on from the earlier checkpoint.
    #[error("the log did not go on from the earlier checkpoint")]
    Inconsistent(#[source] ProofError),
}

impl Reaction for VerifyError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Trust(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}

impl Bundle {
    /// Reads a bundle, and verifies nothing. What is allocated is bounded by the number of bytes, and that by
    /// [`MAX_BUNDLE`].
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        if bytes.len() > MAX_BUNDLE {
            return Err(VerifyError::TooLarge { actual: bytes.len() });
        }
        let bundle: Self = serde_json::from_slice(bytes)?;
        let disclosures = bundle.records.iter().map(|entry| entry.disclosures.len()).max();
        for (what, actual, limit) in [
            ("records", bundle.records.len(), MAX_RECORDS),
            ("new keys", bundle.rotations.len(), MAX_ROTATIONS),
            ("disclosures of a record", disclosures.unwrap_or_default(), MAX_DISCLOSURES),
        ] {
            if actual > limit {
                return Err(VerifyError::TooMany { what, actual, limit });
            }
        }
        Ok(bundle)
    }

    /// Checks everything in the bundle, for somebody who trusts in one of the keys that the log had. Reads nothing else.
    ///
    /// The checkpoint may be of a key that was replaced since: it counts as one of the time of that key.
    ///
    /// # Errors
    /// [`VerifyError`] names the first thing that is wrong.
    pub fn verify(&self, trust: &Trust) -> Result<Verified, VerifyError> {
        if self.records.is_empty() && self.earlier.is_none() {
            return Err(VerifyError::Empty);
        }
        let statements = self.rotations.iter().map(|it| Note::parse(it.statement.as_bytes()));
        let succession = trust.succession(&statements.collect::<Result<Vec<_>, _>>()?)?;
        let (trusted, key) = succession.verify(&Note::parse(self.checkpoint.as_bytes())?)?;
        for ((number, it), handed_over) in (1..).zip(&self.rotations).zip(succession.handed_over()) {
            let one = handed_over.verify_consistency(&trusted.checkpoint, &it.proof);
            one.map_err(|source| VerifyError::HandOver { number, source })?;
        }
        let (size, root) = (trusted.checkpoint.size, &trusted.checkpoint.root);
        let records = self.records.iter().map(|entry| entry.verify(size, root));
        let records = records.collect::<Result<_, _>>()?;
        let earlier = match &self.earlier {
            None => None,
            Some(earlier) => Some(earlier.verify(&succession, (size, root))?),
        };
        Ok(Verified {
            key: key.clone(),
            witnesses: trusted.witnesses,
            records,
            earlier,
            rotations: self.rotations.len(),
            checkpoint: trusted.checkpoint,
        })
    }

    /// The checkpoint that everything is proved against. Not verified.
    ///
    /// # Errors
    /// [`NoteError`] when it is no note.
    pub fn checkpoint(&self) -> Result<Note, NoteError> {
        Note::parse(self.checkpoint.as_bytes())
    }

    /// Adds signatures of witnesses to the checkpoint.
    ///
    /// # Errors
    /// [`NoteError`] when they are no lines of signatures.
    pub fn add_signatures(&mut self, lines: &str) -> Result<(), NoteError> {
        let mut note = self.checkpoint()?;
        note.add_signatures(lines)?;
        self.checkpoint = note.to_string();
        Ok(())
    }
}

/// The file.
impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?)
    }
}

impl Entry {
    fn verify(&self, size: u64, root: &TreeHash) -> Result<VerifiedRecord, VerifyError> {
        let index = self.index;
        let leaf = TreeHash::leaf(self.record.as_bytes());
        let included = self.proof.verify_inclusion(&leaf, index, size, root);
        included.map_err(|source| VerifyError::NotInLog { index, source })?;
        let record =
            Record::decode(self.record.as_bytes()).map_err(|source| VerifyError::Record { index, source })?;
        for shown in &self.disclosures {
            record.verify(shown).map_err(|source| VerifyError::Disclosure { index, source })?;
        }
        Ok(VerifiedRecord { index, leaf, record, disclosures: self.disclosures.clone() })
    }
}

impl Earlier {
    fn verify(&self, keys: &Succession, now: (u64, &TreeHash)) -> Result<Checkpoint, VerifyError> {
        // Of whichever key the log had then.
        let (earlier, _) = keys.verify_log(&Note::parse(self.checkpoint.as_bytes())?)?;
        let goes_on = self.proof.verify_consistency((earlier.size, &earlier.root), now);
        goes_on.map_err(VerifyError::Inconsistent)?;
        Ok(earlier)
    }
}
