//! Who is let in.

use std::collections::BTreeSet;

use crate::node_id::NodeId;

/// Which nodes are let in, by their proved keys.
///
/// ```
/// # use daa_net::{NodeId, auth::Access};
/// let (friend, foe) = (NodeId::from_bytes([1; 32]), NodeId::from_bytes([2; 32]));
/// assert!(Access::everybody().without(foe).lets_in(&friend));
/// assert!(!Access::only([friend, foe]).without(foe).lets_in(&foe));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `None` is everybody.
    allowed: Option<BTreeSet<NodeId>>,
    denied: BTreeSet<NodeId>,
}

impl Access {
    /// Everybody.
    #[must_use]
    pub const fn everybody() -> Self {
        Self { allowed: None, denied: BTreeSet::new() }
    }

    /// Only these.
    #[must_use]
    pub fn only(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Self { allowed: Some(nodes.into_iter().collect()), denied: BTreeSet::new() }
    }

    /// Not this one, even if it is allowed.
    #[must_use]
    pub fn without(mut self, node: NodeId) -> Self {
        self.denied.insert(node);
        self
    }

    /// Whether a node is let in.
    #[must_use]
    pub fn lets_in(&self, node: &NodeId) -> bool {
        !self.denied.contains(node) && self.allowed.as_ref().is_none_or(|allowed| allowed.contains(node))
    }
}
