//! What the state machine is told, and why it may refuse.

use daa_core::digest::Digest;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::AgentId;
use serde::{Deserialize, Serialize};

use crate::aggregate::PeerStatistics;
use crate::commitment::{Commitment, Round};

use super::{Finding, Stage};

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a commitment is the common case, and few are alive at a time")]
pub enum Input {
    /// An agent joins, or comes back. Whether its stake suffices is for the caller to check.
    Join {
        /// Who.
        agent: AgentId,
        /// Digest of the shard that it trains on.
        shard: Digest,
    },
    /// A member leaves of its own will.
    Leave {
        /// Who.
        agent: AgentId,
    },
    /// A member is declared dead by the failure detector. It may join again.
    Dead {
        /// Who.
        agent: AgentId,
    },
    /// The first round may open, as soon as there are enough members.
    Start,
    /// A member commits to its update. The caller has checked the signature.
    Commit(Commitment),
    /// A member has revealed its update: the caller has received the bytes, hashed them, and seen that they decode.
    Reveal {
        /// Who.
        agent: AgentId,
        /// For which round.
        round: Round,
        /// Digest of the bytes.
        update: Digest,
        /// How many bytes.
        len: u64,
    },
    /// The time set by [`super::Effect::Timer`] has passed.
    Deadline {
        /// Of which round.
        round: Round,
        /// Of which stage.
        stage: Stage,
    },
    /// The runtime has aggregated the accepted updates of a round.
    Aggregated {
        /// Which round.
        round: Round,
        /// Digest of the new parameters.
        model: Digest,
        /// Digest of the checkpoint that holds them.
        checkpoint: Digest,
        /// How the peers compare; suspects are audited for certain.
        peers: Vec<PeerStatistics>,
    },
    /// An audit is done.
    Audited {
        /// Whose submission.
        agent: AgentId,
        /// Of which round.
        round: Round,
        /// What was found.
        finding: Finding,
    },
    /// No further round; the current one is abandoned. The final audits follow.
    Finish,
}

/// Why an input changed nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not a member, or not a live one.
    #[error("{agent} is not a live member")]
    NotLive {
        /// Who.
        agent: AgentId,
    },
    /// A member that was found guilty does not come back.
    #[error("{agent} was ejected")]
    Ejected {
        /// Who.
        agent: AgentId,
    },
    /// Already there.
    #[error("{agent} is a live member already")]
    AlreadyLive {
        /// Who.
        agent: AgentId,
    },
    /// As many agents as may join have joined.
    #[error("the run has {limit} members, and no more may join")]
    Full {
        /// The bound.
        limit: u32,
    },
    /// It joined after the round opened and takes part from the next.
    #[error("{agent} takes no part in round {round}")]
    NotInRound {
        /// Who.
        agent: AgentId,
        /// The round.
        round: Round,
    },
    /// The run is at another point.
    #[error("this is not expected now")]
    OutOfTurn,
    /// Another round than the current one.
    #[error("round {found} is not the current one")]
    WrongRound {
        /// Which was named.
        found: Round,
    },
    /// The second of its kind.
    #[error("{agent} has done this already in this round")]
    Duplicate {
        /// Who.
        agent: AgentId,
    },
    /// A field of a commitment is not what the run fixes.
    #[error("the commitment's {field} is not the run's")]
    Commitment {
        /// Which.
        field: &'static str,
    },
    /// The revealed bytes are not the committed ones.
    #[error("the update has digest {found}, committed was {expected}")]
    NotAsCommitted {
        /// Digest of what was revealed.
        found: Digest,
        /// Digest that was committed.
        expected: Digest,
    },
    /// No commitment came before.
    #[error("{agent} has not committed in this round")]
    NotCommitted {
        /// Who.
        agent: AgentId,
    },
    /// More bytes than the codec can write.
    #[error("an update has at most {limit} bytes, this one has {found}")]
    TooLarge {
        /// How many.
        found: u64,
        /// The bound.
        limit: u64,
    },
    /// No such audit is outstanding.
    #[error("no audit of {agent} in round {round} is outstanding")]
    NoSuchAudit {
        /// Of whom.
        agent: AgentId,
        /// Of which round.
        round: Round,
    },
    /// Nothing more happens.
    #[error("the run has ended")]
    Ended,
}

impl Reaction for Refusal {
    fn fault(&self) -> Fault {
        match self {
            Self::OutOfTurn | Self::Ended | Self::NoSuchAudit { .. } => Fault::Caller,
            _ => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::NotInRound { .. } | Self::OutOfTurn | Self::Full { .. } => Retry::Later,
            _ => Retry::Never,
        }
    }
}
