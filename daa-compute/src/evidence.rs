//! Evidence of a forged update, which a third party can recheck without trusting anybody.

use bytes::Bytes;
use daa_core::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::backend::{ComputeBackend, ComputePath};
use crate::commitment::Commitment;
use crate::config::RunConfig;
use crate::protocol::Finding;
use crate::replay::{Exhibits, ReplayError, Replayed, replay};
use crate::wire::DecodeError;

/// The longest evidence, in bytes.
pub const MAX_EVIDENCE: usize = 64 * 1024;

/// What was committed, what a recomputation gives, and how it was computed.
///
/// The artefacts (base, shard, residual, update) are named by digest in the commitment, and are fetched from any
/// store that has them ([`Exhibits::fetch`]), or handed over along with this. That the accused signed the commitment
/// is shown by its signature over [`Commitment::digest`], which the identity layer keeps and checks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What the accused bound itself to.
    pub commitment: Commitment,
    /// The run, as its members agreed on it.
    pub config: RunConfig,
    /// What the accuser computed from the committed inputs.
    pub replayed: Replayed,
    /// How the accuser computed it.
    pub path: ComputePath,
}

/// What a recheck says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ruling {
    /// The recomputation, on the committed path, gives what the accuser says and not what was committed: the update
    /// is forged.
    Confirmed,
    /// The recomputation gives what was committed, on whatever path: the accusation is false.
    Refuted,
    /// The recomputation gives neither, or it ran on another path than the committed one. On another path differences
    /// can be rounding, and somebody on the committed one has to repeat it; if all was on one path, the accuser's
    /// figures are wrong, and a fresh audit is in order.
    Inconclusive {
        /// What this recomputation gave.
        ours: Replayed,
        /// Whether accused, accuser and this recomputation are on one path.
        same_path: bool,
    },
}

/// Why evidence was not rechecked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Not the evidence that the slash named.
    #[error("the evidence has digest {found}, the slash names {expected}")]
    Unnamed {
        /// Its digest.
        found: Digest,
        /// The named one.
        expected: Digest,
    },
    /// It accuses of nothing: what was computed is what was committed.
    #[error("the evidence accuses of nothing")]
    Empty,
    /// The replay could not be made.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl daa_core::fault::Reaction for EvidenceError {
    fn fault(&self) -> daa_core::fault::Fault {
        match self {
            Self::Unnamed { .. } | Self::Empty => daa_core::fault::Fault::Peer,
            Self::Replay(error) => error.fault(),
        }
    }

    fn retry(&self) -> daa_core::fault::Retry {
        match self {
            Self::Unnamed { .. } | Self::Empty => daa_core::fault::Retry::Never,
            Self::Replay(error) => error.retry(),
        }
    }
}

impl Evidence {
    /// Bytes (JSON), to be stored as an artefact: its address is [`Evidence::digest`].
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] if a number in it is not finite.
    pub fn encode(&self) -> Result<Bytes, DecodeError> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|_| DecodeError::Invalid { what: "evidence" })
    }

    /// Parses [`Evidence::encode`].
    ///
    /// # Errors
    /// [`DecodeError`] for what is too long or is no evidence.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_EVIDENCE {
            let (found, limit) = (bytes.len() as u64, MAX_EVIDENCE as u64);
            return Err(DecodeError::TooLarge { what: "evidence", found, limit });
        }
        serde_json::from_slice(bytes).map_err(|_| DecodeError::Invalid { what: "evidence" })
    }

    /// The digest of its bytes: what a slash names.
    ///
    /// # Errors
    /// As [`Evidence::encode`].
    pub fn digest(&self) -> Result<Digest, DecodeError> {
        Ok(Digest::of(&self.encode()?))
    }

    /// The finding to report to the protocol.
    ///
    /// # Errors
    /// As [`Evidence::encode`].
    pub fn finding(&self) -> Result<Finding, DecodeError> {
        Ok(Finding::Forged {
            expected: self.replayed.update,
            got: self.commitment.update,
            evidence: self.digest()?,
        })
    }
}

/// Rechecks evidence that a slash has named: recomputes the local steps bit for bit, and encodes again.
///
/// Checked are, in this order: the digest of the evidence; the digest of every exhibit; that run, configuration,
/// layout, seed and count of the commitment follow from the configuration; then the recomputation.
///
/// # Errors
/// [`EvidenceError`] when a field was changed, an exhibit is another, or the backend fails.
pub async fn recheck(
    backend: &dyn ComputeBackend,
    evidence: &Evidence,
    named: &Digest,
    exhibits: &Exhibits,
) -> Result<Ruling, EvidenceError> {
    let found = evidence.digest().map_err(ReplayError::from)?;
    if found != *named {
        return Err(EvidenceError::Unnamed { found, expected: *named });
    }
    if evidence.replayed.matches(&evidence.commitment) {
        return Err(EvidenceError::Empty);
    }
    let ours = replay(backend, &evidence.config, &evidence.commitment, exhibits).await?;
    let (path, committed) = (backend.path(), &evidence.commitment.path);
    Ok(if ours.matches(&evidence.commitment) {
        Ruling::Refuted
    } else if ours == evidence.replayed && path == *committed {
        Ruling::Confirmed
    } else {
        Ruling::Inconclusive { ours, same_path: path == *committed && path == evidence.path }
    })
}
