//! What the runtime is to do.

use daa_core::digest::Digest;
use daa_core::id::AgentId;
use serde::{Deserialize, Serialize};

use crate::commitment::{Commitment, Round};

use super::Stage;

/// A submission to recompute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditOrder {
    /// What was committed: whose, of which round, from which base, and so on.
    pub commitment: Commitment,
}

/// Something to do outside. Each may be performed more than once after a crash, and must not mind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a commitment is the common case, and few are alive at a time")]
pub enum Effect {
    /// Give a new member the current model.
    CatchUp {
        /// Whom.
        agent: AgentId,
        /// Digest of the checkpoint.
        checkpoint: Digest,
    },
    /// The members are to train.
    Train {
        /// In which round.
        round: Round,
        /// From which parameters.
        base: Digest,
        /// Who.
        members: Vec<AgentId>,
    },
    /// Answer with [`super::Input::Deadline`] after the time that the runtime allows for this stage.
    Timer {
        /// Of which round.
        round: Round,
        /// Of which stage.
        stage: Stage,
    },
    /// The members that committed are to reveal.
    RequestUpdates {
        /// Of which round.
        round: Round,
        /// Whose.
        members: Vec<AgentId>,
    },
    /// Aggregate these updates (see [`crate::worker::close_round`]), store the checkpoint, and answer with
    /// [`super::Input::Aggregated`].
    Aggregate {
        /// Of which round.
        round: Round,
        /// From which parameters.
        base: Digest,
        /// Whose, and the digest of the bytes; sorted by agent.
        updates: Vec<(AgentId, Digest)>,
    },
    /// Have another member recompute a submission (see [`crate::replay`]) and answer with [`super::Input::Audited`].
    /// Void once [`super::Event::AuditWaived`] says so.
    Audit(AuditOrder),
    /// Take the stake of a member found guilty.
    Slash {
        /// Whom.
        agent: AgentId,
        /// For which round.
        round: Round,
        /// Digest of the evidence.
        evidence: Digest,
    },
    /// Pay these members for a round; once for each round and member, whatever happens.
    Reward {
        /// For which round.
        round: Round,
        /// Whom.
        members: Vec<AgentId>,
    },
    /// The run has ended.
    Finished {
        /// Digest of the final parameters.
        model: Digest,
    },
}
