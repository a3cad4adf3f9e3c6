//! Members, and what becomes of them.

use daa_core::clock::Timestamp;
use daa_crypto::VerifyingKey;

use super::statement::SignedStatement;
use crate::node_id::NodeId;

/// A node of the network, as this one sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Which.
    pub node: NodeId,
    /// How it is.
    pub state: MemberState,
    /// Since when, by the clock of the node that looks.
    pub since: Timestamp,
}

/// How a member is, as far as this node has found by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MemberState {
    /// It has said so, and nothing speaks against it.
    Alive,
    /// This node did not reach it, directly or through others. It may still be alive.
    Suspect,
    /// It was suspect for so long that it would have answered.
    Dead,
    /// It has said that it goes.
    Left,
}

impl MemberState {
    /// Whether it makes sense to ask it something.
    #[must_use]
    pub const fn is_reachable(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }
}

/// What happens to members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MembershipEvent {
    /// It is there: for the first time, or again.
    Joined(NodeId),
    /// This node does not reach it.
    Suspected(NodeId),
    /// It was suspect, and is alive.
    Refuted(NodeId),
    /// It was suspect for too long.
    Died(NodeId),
    /// It went.
    Left(NodeId),
    /// There is a newer record of it.
    RecordChanged(NodeId),
}

impl MembershipEvent {
    /// Which member it is about.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        match self {
            Self::Joined(node)
            | Self::Suspected(node)
            | Self::Refuted(node)
            | Self::Died(node)
            | Self::Left(node)
            | Self::RecordChanged(node) => *node,
        }
    }
}

/// What is kept of a member.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: VerifyingKey,
    pub(super) statement: SignedStatement,
    pub(super) state: MemberState,
    pub(super) since: Timestamp,
    /// When it last said anything to us.
    pub(super) heard: Option<Timestamp>,
    /// The version of the newest record that was seen of it.
    pub(super) record: u64,
    /// When all was last compared with it.
    pub(super) synced: Option<Timestamp>,
}

impl Entry {
    pub(super) fn incarnation(&self) -> u64 {
        self.statement.statement().incarnation
    }

    /// Whether it is probed in its turn.
    pub(super) fn is_probed(&self) -> bool {
        matches!(self.state, MemberState::Alive | MemberState::Suspect)
    }
}
