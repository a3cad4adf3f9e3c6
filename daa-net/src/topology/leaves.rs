//! Those that are at home with a hub.

use std::collections::BTreeMap;
use std::time::Duration;

use daa_core::clock::Timestamp;

use super::peer::Load;
use crate::node_id::NodeId;

/// Each for a while, as long as it asks again.
#[derive(Debug)]
pub(super) struct Leaves {
    capacity: usize,
    lease: Duration,
    until: BTreeMap<NodeId, Timestamp>,
}

impl Leaves {
    pub(super) fn new(capacity: usize, lease: Duration) -> Self {
        Self { capacity, lease, until: BTreeMap::new() }
    }

    /// Whether it is at home now: who is, stays; others while there is room.
    pub(super) fn admit(&mut self, leaf: NodeId, has_time: bool, now: Timestamp) -> bool {
        let may = self.until.contains_key(&leaf) || (has_time && self.until.len() < self.capacity);
        if may {
            self.until.insert(leaf, now + self.lease);
        }
        may
    }

    pub(super) fn leave(&mut self, leaf: &NodeId) {
        self.until.remove(leaf);
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.until.retain(|_, until| *until > now);
    }

    pub(super) fn all(&self) -> impl Iterator<Item = NodeId> {
        self.until.keys().copied()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.until.len()
    }

    /// How much of the room is taken.
    pub(super) fn taken(&self) -> Load {
        Load::of(self.until.len(), self.capacity)
    }
}
