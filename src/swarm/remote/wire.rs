//! What members and coordinator say to each other. What has a JSON form in the run's history has the same one here.

use bytes::Bytes;
use daa_compute::commitment::{Commitment, Round};
use daa_compute::protocol::Refusal;
use daa_core::digest::Digest;
use daa_core::id::AgentId;
use daa_net::rpc::Method;
use prost::Message;

use crate::swarm::error::SwarmError;

/// The most bytes of a commitment.
pub(super) const MAX_COMMITMENT: usize = 4 << 10;
/// The bytes of events after which an answer has enough of them; it has at least one.
pub(super) const ENOUGH_EVENTS: usize = 256 << 10;

/// What each request begins with.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Of {
    /// The run: 32 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) run: Bytes,
    #[prost(string, tag = "2")]
    pub(super) agent: String,
}

/// What has happened behind a version of the run, or happens within a while.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FollowRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) of: Option<Of>,
    #[prost(uint64, tag = "2")]
    pub(super) after: u64,
    #[prost(uint32, tag = "3")]
    pub(super) wait_millis: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FollowResponse {
    /// JSON, in order, without a gap.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) events: Vec<Bytes>,
    /// How many events there are.
    #[prost(uint64, tag = "2")]
    pub(super) head: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct JoinRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) of: Option<Of>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) shard: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommitRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) of: Option<Of>,
    /// JSON.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) commitment: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RevealRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) of: Option<Of>,
    #[prost(uint32, tag = "2")]
    pub(super) round: u32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) update: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AuditRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) of: Option<Of>,
    /// JSON.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) commitment: Bytes,
    /// JSON; nothing where there is no accusation.
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) evidence: Bytes,
    /// Whether what the audit needed was not handed over.
    #[prost(bool, tag = "4")]
    pub(super) withheld: bool,
}

/// What became of a request.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Taken {
    /// How many events the run has, this one's among them.
    #[prost(uint64, tag = "1")]
    pub(super) version: u64,
    /// 0 where it was taken.
    #[prost(uint32, tag = "2")]
    pub(super) refused: u32,
    /// For people.
    #[prost(string, tag = "3")]
    pub(super) reason: String,
    /// What the coordinator found, in JSON; of an audit only.
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) finding: Bytes,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $text:literal: $request:ident -> $response:ident;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl Method for $name {
            const NAME: &'static str = $text;
            type Request = $request;
            type Response = $response;
        }
    )*};
}

methods! {
    /// Watching the run.
    Follow = "swarm/follow/1": FollowRequest -> FollowResponse;
    /// Joining.
    Join = "swarm/join/1": JoinRequest -> Taken;
    /// Committing.
    Commit = "swarm/commit/1": CommitRequest -> Taken;
    /// Revealing.
    Reveal = "swarm/reveal/1": RevealRequest -> Taken;
    /// Reporting an audit.
    Audit = "swarm/audit/1": AuditRequest -> Taken;
}

pub(super) fn digest(bytes: &[u8]) -> Option<Digest> {
    <[u8; 32]>::try_from(bytes).ok().map(Digest::from_bytes)
}

/// Refusals that a member reacts to, by their numbers; 1 is any other.
const OTHER: u32 = 1;

pub(super) const fn number(refusal: &Refusal) -> u32 {
    match refusal {
        Refusal::AlreadyLive { .. } => 2,
        Refusal::Duplicate { .. } => 3,
        Refusal::NoSuchAudit { .. } => 4,
        Refusal::Ended => 5,
        Refusal::OutOfTurn => 6,
        Refusal::NotInRound { .. } => 7,
        _ => OTHER,
    }
}

impl Taken {
    /// What a refused request of `agent` came to, about `subject`.
    pub(super) fn refusal(self, agent: &AgentId, subject: Option<&Commitment>, round: Round) -> SwarmError {
        let agent = agent.clone();
        let refusal = match self.refused {
            2 => Refusal::AlreadyLive { agent },
            3 => Refusal::Duplicate { agent },
            4 => match subject {
                Some(subject) => Refusal::NoSuchAudit { agent: subject.agent.clone(), round: subject.round },
                None => return SwarmError::Declined { reason: self.reason },
            },
            5 => Refusal::Ended,
            6 => Refusal::OutOfTurn,
            7 => Refusal::NotInRound { agent, round },
            _ => return SwarmError::Declined { reason: self.reason },
        };
        refusal.into()
    }
}
