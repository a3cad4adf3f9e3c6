//! What has happened in a run: its history, from which the state is rebuilt.

use daa_core::digest::Digest;
use daa_core::id::AgentId;
use serde::{Deserialize, Serialize};

use crate::commitment::{Commitment, Round};

use super::Stage;

/// What an audit found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// Recomputed bit for bit.
    Honest,
    /// The recomputation gives another update.
    Forged {
        /// Digest of the update that the committed inputs give.
        expected: Digest,
        /// Digest of the update that was committed.
        got: Digest,
        /// Digest of the evidence bundle.
        evidence: Digest,
    },
    /// The member did not hand over what only it has: shard or residual. It is ejected and not paid, but not slashed:
    /// absence cannot be proven to a third party.
    Withheld,
}

/// One fact of a run's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a commitment is the common case, and few are alive at a time")]
pub enum Event {
    /// An agent is a live member from the next round to open.
    Joined {
        /// Who.
        agent: AgentId,
        /// Its shard.
        shard: Digest,
    },
    /// A member left.
    Left {
        /// Who.
        agent: AgentId,
    },
    /// A member was declared dead.
    Died {
        /// Who.
        agent: AgentId,
    },
    /// Rounds may open.
    Started,
    /// A round is open for commitments of these members.
    RoundOpened {
        /// Which.
        round: Round,
        /// Digest of the parameters that it starts from.
        base: Digest,
        /// Who takes part.
        members: Vec<AgentId>,
    },
    /// A commitment was accepted.
    Committed(Commitment),
    /// The deadline of a stage has passed: a quorum suffices from now on.
    Overdue {
        /// Of which round.
        round: Round,
        /// Of which stage.
        stage: Stage,
    },
    /// The commitments are fixed; updates may be revealed.
    CommitmentsFixed {
        /// Of which round.
        round: Round,
    },
    /// An update that matches its commitment is there.
    Revealed {
        /// Whose.
        agent: AgentId,
        /// Of which round.
        round: Round,
    },
    /// A member found guilty takes no further part.
    Ejected {
        /// Who.
        agent: AgentId,
    },
    /// The updates of these members are being aggregated.
    AggregationStarted {
        /// Of which round.
        round: Round,
        /// Whose; sorted.
        accepted: Vec<AgentId>,
    },
    /// A round is closed.
    RoundClosed {
        /// Which.
        round: Round,
        /// Digest of the new parameters.
        model: Digest,
        /// Digest of the checkpoint that holds them.
        checkpoint: Digest,
        /// Whose submissions are audited; sorted.
        audits: Vec<AgentId>,
    },
    /// An audit is done.
    Verdict {
        /// Of whom.
        agent: AgentId,
        /// Of which round.
        round: Round,
        /// What was found.
        finding: Finding,
    },
    /// An audit that was ordered will not be done: nobody is left who may do it. Whoever audits is live, was not found
    /// guilty, and is not the audited member. The round is paid as if the audit had found nothing; that nothing was
    /// looked at stays visible here.
    AuditWaived {
        /// Of whom.
        agent: AgentId,
        /// Of which round.
        round: Round,
    },
    /// The rewards of a round are due to these members: whose update was accepted, and who was not found guilty of
    /// this round or an earlier one. Rounds are released in order.
    RewardsReleased {
        /// For which round.
        round: Round,
        /// Who is paid; sorted.
        members: Vec<AgentId>,
    },
    /// No further round; these last submissions are audited as well.
    Ending {
        /// Whose, of which round.
        audits: Vec<(AgentId, Round)>,
    },
    /// All audits are done.
    Finished {
        /// Digest of the final parameters.
        model: Digest,
    },
}
