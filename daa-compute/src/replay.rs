//! Replay: recomputing a submission from what its commitment names.
//!
//! # What a replay shows
//!
//! A commitment names base, shard, residual before, configuration and batch seed by digest. The protocol has checked
//! that base, configuration, seed, shard and residual are the ones that this member had to use. The replay takes the
//! artefacts of these digests, runs the same local steps and the same encoder, and compares two digests: the update,
//! and the residual that it leaves. Any difference, in one bit, is a forgery, if
//! the replay ran on the compute path that the commitment names; on another it can be rounding and shows nothing.
//!
//! # What follows about residuals
//!
//! Error feedback makes an update depend on what earlier rounds left unsent. The chain of residuals is bound: the first
//! is zero, and every later one is the `residual_after` of the last accepted submission, which its own commitment
//! fixed. A replay of round `r` therefore shows that round `r` is right *given* the residual of round `r − 1`; that
//! this one was right is shown by a replay of `r − 1`. A lie in the residual of a round that is not audited stays
//! undetected as long as only later rounds are audited, but it had to be told in a commitment of a round that could
//! have been drawn, and it can be found at any time later, back to round 0, while the artefacts are kept.

use bytes::Bytes;
use daa_core::artifact::{ArtifactError, Artifacts};
use daa_core::digest::Digest;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::seed::Seed;
use serde::{Deserialize, Serialize};

use crate::backend::{ComputeBackend, ComputeError, ComputePath};
use crate::codec::Residual;
use crate::commitment::{Commitment, batch_seed};
use crate::config::{RunConfig, RunConfigError};
use crate::dataset::Shard;
use crate::evidence::Evidence;
use crate::parameters::Parameters;
use crate::wire::DecodeError;

/// The artefacts that a commitment names, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhibits {
    /// The parameters before the round, encoded.
    pub base: Bytes,
    /// The shard, encoded.
    pub shard: Bytes,
    /// The residual before the round, encoded.
    pub residual: Bytes,
    /// The update as it was sent.
    pub update: Bytes,
}

/// What a recomputation gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Digest of the update.
    pub update: Digest,
    /// Digest of the residual that it leaves.
    pub residual_after: Digest,
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Audit {
    /// The same bits.
    Honest,
    /// Others, and the replay ran on another path than the member's: that can be rounding and convicts nobody.
    /// Somebody on the committed path has to repeat it.
    OtherPath {
        /// How this replay computed.
        ours: ComputePath,
        /// How the member computed.
        committed: ComputePath,
    },
    /// Others, on the committed path: here is what to show to third parties.
    Forged(Box<Evidence>),
}

/// Why there was no replay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// An artefact is not there.
    #[error("the {what} {digest} is not available")]
    Missing {
        /// Which.
        what: &'static str,
        /// Its address.
        digest: Digest,
    },
    /// An artefact is not the one that was committed.
    #[error("the {what} has digest {found}, committed was {expected}")]
    Exhibit {
        /// Which.
        what: &'static str,
        /// Its digest.
        found: Digest,
        /// The committed one.
        expected: Digest,
    },
    /// A field of the commitment does not follow from the configuration.
    #[error("the commitment's {field} does not follow from the configuration")]
    Commitment {
        /// Which.
        field: &'static str,
    },
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] RunConfigError),
    /// An artefact does not parse.
    #[error("an artefact does not parse")]
    Decode(#[from] DecodeError),
    /// The backend is for another model, or failed.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// The artefacts could not be read.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
}

impl Reaction for ReplayError {
    fn fault(&self) -> Fault {
        match self {
            Self::Missing { .. } | Self::Exhibit { .. } | Self::Commitment { .. } | Self::Decode(_) => {
                Fault::Peer
            }
            Self::Config(error) => error.fault(),
            Self::Compute(error) => error.fault(),
            Self::Artifacts(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Missing { .. } => Retry::Later,
            Self::Compute(error) => error.retry(),
            Self::Artifacts(error) => error.retry(),
            Self::Exhibit { .. } | Self::Commitment { .. } | Self::Decode(_) | Self::Config(_) => {
                Retry::Never
            }
        }
    }
}

impl Exhibits {
    /// Fetches what a commitment names.
    ///
    /// # Errors
    /// [`ReplayError::Missing`] for the first that is not there; [`ReplayError::Artifacts`].
    pub async fn fetch(artifacts: &dyn Artifacts, commitment: &Commitment) -> Result<Self, ReplayError> {
        Ok(Self {
            base: fetch(artifacts, "base", commitment.base).await?,
            shard: fetch(artifacts, "shard", commitment.shard).await?,
            residual: fetch(artifacts, "residual", commitment.residual_before).await?,
            update: fetch(artifacts, "update", commitment.update).await?,
        })
    }

    fn check(&self, commitment: &Commitment) -> Result<(), ReplayError> {
        for (what, bytes, expected) in [
            ("base", &self.base, commitment.base),
            ("shard", &self.shard, commitment.shard),
            ("residual", &self.residual, commitment.residual_before),
            ("update", &self.update, commitment.update),
        ] {
            let found = Digest::of(bytes);
            if found != expected {
                return Err(ReplayError::Exhibit { what, found, expected });
            }
        }
        Ok(())
    }
}

async fn fetch(artifacts: &dyn Artifacts, what: &'static str, digest: Digest) -> Result<Bytes, ReplayError> {
    artifacts.get(&digest).await?.ok_or(ReplayError::Missing { what, digest })
}

impl Replayed {
    /// Whether this is what was committed.
    #[must_use]
    pub fn matches(&self, commitment: &Commitment) -> bool {
        self.update == commitment.update && self.residual_after == commitment.residual_after
    }
}

/// Recomputes a submission.
///
/// # Errors
/// [`ReplayError`]: also when an exhibit or a field of the commitment is not what it must be.
pub async fn replay(
    backend: &dyn ComputeBackend,
    config: &RunConfig,
    commitment: &Commitment,
    exhibits: &Exhibits,
) -> Result<Replayed, ReplayError> {
    config.check()?;
    exhibits.check(commitment)?;
    let layout = backend.layout();
    let seed = batch_seed(config.run_id(), commitment.round, &commitment.agent);
    for (field, sound) in [
        ("run", commitment.run == config.run_id()),
        ("config", commitment.config == config.digest()),
        ("layout", commitment.layout == layout.digest()),
        ("batch seed", commitment.batch_seed == seed),
        ("number of examples", commitment.examples == config.inner.examples()),
    ] {
        if !sound {
            return Err(ReplayError::Commitment { field });
        }
    }
    let base = Parameters::decode(layout, &exhibits.base)?;
    let residual = Residual::decode(layout, &exhibits.residual)?;
    let shard = backend.load_shard(&Shard::decode(&exhibits.shard)?).await?;
    let inner = config.inner_at(commitment.round);
    let trained = backend.train(&base, &shard, &inner, &Seed::from_digest(seed)).await;
    backend.unload_shard(&shard).await;
    let trained = trained?;
    let difference: Vec<f32> =
        base.values().iter().zip(trained.parameters.values()).map(|(base, local)| base - local).collect();
    let encoded = residual.encode_round(&difference, &config.codec)?;
    Ok(Replayed { update: Digest::of(&encoded.bytes), residual_after: encoded.residual.digest() })
}

/// Replays a submission and compares. The same bits are honest on any path; others are a forgery only on the path
/// that was committed.
///
/// # Errors
/// As [`replay`].
pub async fn audit(
    backend: &dyn ComputeBackend,
    config: &RunConfig,
    commitment: &Commitment,
    exhibits: &Exhibits,
) -> Result<Audit, ReplayError> {
    let replayed = replay(backend, config, commitment, exhibits).await?;
    if replayed.matches(commitment) {
        return Ok(Audit::Honest);
    }
    let ours = backend.path();
    if ours != commitment.path {
        return Ok(Audit::OtherPath { ours, committed: commitment.path.clone() });
    }
    Ok(Audit::Forged(Box::new(Evidence {
        commitment: commitment.clone(),
        config: *config,
        replayed,
        path: ours,
    })))
}
