//! What a member binds itself to before anybody sees its update.

use std::fmt;

use daa_core::digest::Digest;
use daa_core::id::AgentId;
use serde::{Deserialize, Serialize};

use crate::backend::ComputePath;

/// Names one training run: the digest of whatever founded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Digest);

/// A round of a run, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Round(pub u32);

impl Round {
    /// The round after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The seed from which a member draws its batches in a round.
#[must_use]
pub fn batch_seed(run: RunId, round: Round, agent: &AgentId) -> Digest {
    Digest::builder("daa batch seed v1")
        .field(run.0.as_bytes())
        .number(u64::from(round.0))
        .field(agent.as_str().as_bytes())
        .finish()
}

/// A commitment to one update. Its [`Commitment::digest`] is what gets signed.
///
/// It names everything that the update is a function of, and the update itself, so that a verifier with the named
/// artefacts can recompute it, and so that nothing can be exchanged afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// Which run.
    pub run: RunId,
    /// Which round.
    pub round: Round,
    /// Who commits.
    pub agent: AgentId,
    /// Digest of the parameters that the round starts from.
    pub base: Digest,
    /// Digest of the whole run configuration: model, inner optimisation, codec, aggregation.
    pub config: Digest,
    /// Digest of the member's shard.
    pub shard: Digest,
    /// What seeds the batches: [`batch_seed`] of run, round and agent, so that nobody can choose lucky batches.
    pub batch_seed: Digest,
    /// Digest of the parameter layout.
    pub layout: Digest,
    /// Digest of the residual that went in; what the last accepted submission left, or zero for the first.
    pub residual_before: Digest,
    /// Digest of the residual that is left.
    pub residual_after: Digest,
    /// Digest of the encoded update: header, quantisation levels, indices, values.
    pub update: Digest,
    /// Examples seen.
    pub examples: u64,
    /// How the member computed: only a replay on the same path can convict it.
    pub path: ComputePath,
}

impl Commitment {
    /// The digest over all fields: domain-separated, length-prefixed, versioned.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::builder("daa training commitment v2")
            .field(self.run.0.as_bytes())
            .number(u64::from(self.round.0))
            .field(self.agent.as_str().as_bytes())
            .field(self.base.as_bytes())
            .field(self.config.as_bytes())
            .field(self.shard.as_bytes())
            .field(self.batch_seed.as_bytes())
            .field(self.layout.as_bytes())
            .field(self.residual_before.as_bytes())
            .field(self.residual_after.as_bytes())
            .field(self.update.as_bytes())
            .number(self.examples)
            .field(self.path.as_str().as_bytes())
            .finish()
    }
}
