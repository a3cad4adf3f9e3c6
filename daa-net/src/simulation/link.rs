//! What is between nodes.

use std::collections::BTreeMap;

use daa_core::seed::Rng;
use rand::RngExt as _;

use crate::node_id::NodeId;

/// How a link behaves. Shares are in thousandths of the messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// One way, in milliseconds: from, to.
    pub(crate) delay: (u64, u64),
    pub(crate) drop: u32,
    pub(crate) duplicate: u32,
    /// These are overtaken by what is sent up to a second later; all others keep their order.
    pub(crate) reorder: u32,
    /// How long it takes to notice that the other side cannot be reached, in milliseconds.
    pub(crate) silence: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self::rtt(50)
    }
}

impl Link {
    /// A link that loses nothing, with up to a fifth more than this round trip.
    pub(crate) const fn rtt(millis: u64) -> Self {
        let delay = (millis / 2, millis / 2 + millis / 10);
        Self { delay, drop: 0, duplicate: 0, reorder: 0, silence: 5_000 }
    }

    pub(crate) const fn with_drop(self, thousandths: u32) -> Self {
        Self { drop: thousandths, ..self }
    }

    pub(crate) const fn with_duplicate(self, thousandths: u32) -> Self {
        Self { duplicate: thousandths, ..self }
    }

    pub(crate) const fn with_reorder(self, thousandths: u32) -> Self {
        Self { reorder: thousandths, ..self }
    }
}

struct Connection {
    number: u64,
    /// When its handshake is over.
    ready: u64,
}

#[derive(Default)]
pub(super) struct Links {
    pub(super) default: Link,
    own: BTreeMap<(NodeId, NodeId), Link>,
    connections: BTreeMap<(NodeId, NodeId), Connection>,
    number: u64,
    /// When the last message that keeps its order arrives, from one to the other.
    last: BTreeMap<(NodeId, NodeId), u64>,
    groups: Option<BTreeMap<NodeId, usize>>,
}

fn pair(one: NodeId, other: NodeId) -> (NodeId, NodeId) {
    (one.min(other), one.max(other))
}

impl Links {
    pub(super) fn set(&mut self, one: NodeId, other: NodeId, link: Link) {
        self.own.insert(pair(one, other), link);
    }

    fn link(&self, one: NodeId, other: NodeId) -> Link {
        self.own.get(&pair(one, other)).copied().unwrap_or(self.default)
    }

    pub(super) fn delay(&self, one: NodeId, other: NodeId, rng: &mut Rng) -> u64 {
        let (from, to) = self.link(one, other).delay;
        rng.random_range(from..=to)
    }

    /// When a message that is sent now arrives: not at all, once or twice.
    pub(super) fn arrivals(&mut self, from: NodeId, to: NodeId, now: u64, rng: &mut Rng) -> Vec<u64> {
        let link = self.link(from, to);
        let mut happens = |thousandths| rng.random_range(0..1_000) < thousandths;
        let (is_lost, is_twice, is_late) =
            (happens(link.drop), happens(link.duplicate), happens(link.reorder));
        if is_lost {
            return Vec::new();
        }
        let mut at = now + self.delay(from, to, rng);
        if is_late {
            at += rng.random_range(0..1_000);
        } else {
            let last = self.last.entry((from, to)).or_default();
            at = at.max(*last);
            *last = at;
        }
        if is_twice { vec![at, at + rng.random_range(0..1_000)] } else { vec![at] }
    }

    pub(super) fn connection(&self, one: NodeId, other: NodeId) -> Option<u64> {
        Some(self.connections.get(&pair(one, other))?.number)
    }

    pub(super) fn ready(&self, one: NodeId, other: NodeId) -> Option<u64> {
        Some(self.connections.get(&pair(one, other))?.ready)
    }

    pub(super) fn connect(&mut self, one: NodeId, other: NodeId, ready: u64) -> u64 {
        self.number += 1;
        self.connections.insert(pair(one, other), Connection { number: self.number, ready });
        self.number
    }

    pub(super) fn disconnect(&mut self, one: NodeId, other: NodeId) {
        self.connections.remove(&pair(one, other));
    }

    /// Drops all connections of a node, and gives who was connected.
    pub(super) fn drop_all(&mut self, node: NodeId) -> Vec<NodeId> {
        let its = |ends: &(NodeId, NodeId)| ends.0 == node || ends.1 == node;
        let ends: Vec<_> = self.connections.keys().copied().filter(its).collect();
        for ends in &ends {
            self.connections.remove(ends);
        }
        ends.into_iter().map(|(one, other)| if one == node { other } else { one }).collect()
    }

    pub(super) fn partition(&mut self, groups: &[&[NodeId]]) {
        let of = |(number, group): (usize, &&[NodeId])| -> Vec<(NodeId, usize)> {
            group.iter().map(|node| (*node, number)).collect()
        };
        self.groups = Some(groups.iter().enumerate().flat_map(of).collect());
    }

    pub(super) fn heal(&mut self) {
        self.groups = None;
    }

    pub(super) fn reach(&self, one: NodeId, other: NodeId) -> bool {
        let Some(groups) = &self.groups else { return true };
        groups.get(&one).is_some_and(|group| groups.get(&other) == Some(group))
    }

    /// The connections whose ends do not reach each other.
    pub(super) fn cut(&self) -> Vec<((NodeId, NodeId), u64)> {
        let all = self.connections.iter();
        all.filter(|((one, other), _)| !self.reach(*one, *other))
            .map(|(ends, connection)| (*ends, connection.number))
            .collect()
    }
}
