//! What is asked of others: statements and records that they say they have.

use std::collections::BTreeMap;

use daa_core::clock::Timestamp;

use super::options::MembershipOptions;
use super::wire::MAX_ITEMS;
use crate::node_id::NodeId;

/// An answer has so many probe intervals; then another may be asked.
const PATIENCE: u32 = 5;
/// Who did not answer is asked nothing for so many probe intervals.
const SILENCE: u32 = 20;
/// The most nodes that are wanted at once, of one peer and of all.
const OF_PEER: usize = 512;
const OF_ALL: usize = 16_384;

/// Each node is asked for at one peer at a time.
#[derive(Debug, Default)]
pub(super) struct Wants {
    nodes: BTreeMap<NodeId, Want>,
    /// How many are wanted of each peer.
    of_peers: BTreeMap<NodeId, usize>,
    /// Until when those are asked nothing who did not answer.
    silent: BTreeMap<NodeId, Timestamp>,
}

#[derive(Debug)]
struct Want {
    from: NodeId,
    until: Timestamp,
    is_asked: bool,
}

impl Wants {
    pub(super) fn put(&mut self, node: NodeId, from: NodeId, now: Timestamp, options: &MembershipOptions) {
        if self.nodes.get(&node).is_some_and(|want| want.until <= now) {
            self.give_up(&node, now, options);
        }
        let is_silent = self.silent.get(&from).is_some_and(|until| *until > now);
        let of_peer = self.of_peers.get(&from).copied().unwrap_or(0);
        let has_room = of_peer < OF_PEER && self.nodes.len() < OF_ALL;
        if !is_silent && has_room && !self.nodes.contains_key(&node) {
            let until = now + options.probe_interval * PATIENCE;
            self.nodes.insert(node, Want { from, until, is_asked: false });
            self.of_peers.insert(from, of_peer + 1);
        }
    }

    /// What this peer is to be asked for next: no more than fits into an answer.
    pub(super) fn next(&mut self, from: &NodeId, now: Timestamp, options: &MembershipOptions) -> Vec<NodeId> {
        if !self.of_peers.contains_key(from) {
            return Vec::new();
        }
        let its = || self.nodes.iter().filter(|(_, want)| want.from == *from);
        let asked = its().filter(|(_, want)| want.is_asked && want.until > now).count();
        let open = its().filter(|(_, want)| !want.is_asked).map(|(node, _)| *node);
        let next: Vec<_> = open.take(MAX_ITEMS.saturating_sub(asked)).collect();
        for node in &next {
            if let Some(want) = self.nodes.get_mut(node) {
                (want.is_asked, want.until) = (true, now + options.probe_interval * PATIENCE);
            }
        }
        next
    }

    /// Whether this peer was asked for this node.
    pub(super) fn is_asked(&self, node: &NodeId, from: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|want| want.from == *from && want.is_asked)
    }

    /// It has answered.
    pub(super) fn remove(&mut self, node: &NodeId, from: &NodeId) {
        if self.is_asked(node, from) {
            self.take(node);
        }
    }

    pub(super) fn expire(&mut self, now: Timestamp, options: &MembershipOptions) {
        let late = self.nodes.iter().filter(|(_, want)| want.until <= now);
        for node in late.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.give_up(&node, now, options);
        }
        self.silent.retain(|_, until| *until > now);
    }

    /// What it says is not to be had of this peer.
    pub(super) fn silence(&mut self, peer: &NodeId, now: Timestamp, options: &MembershipOptions) {
        let its = self.nodes.iter().filter(|(_, want)| want.from == *peer).map(|(node, _)| *node);
        for node in its.collect::<Vec<_>>() {
            self.give_up(&node, now, options);
        }
    }

    fn give_up(&mut self, node: &NodeId, now: Timestamp, options: &MembershipOptions) {
        if let Some(want) = self.take(node)
            && want.is_asked
            && self.silent.len() < OF_ALL
        {
            self.silent.insert(want.from, now + options.probe_interval * SILENCE);
        }
    }

    fn take(&mut self, node: &NodeId) -> Option<Want> {
        let want = self.nodes.remove(node)?;
        match self.of_peers.get_mut(&want.from) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.of_peers.remove(&want.from)),
        }
        Some(want)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.of_peers.values().sum::<usize>(), self.nodes.len());
        self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_le_bytes());
        NodeId::from_bytes(bytes)
    }

    #[test]
    fn who_does_not_answer_is_asked_no_more_for_a_while() {
        let (mut wants, options) = (Wants::default(), MembershipOptions::default());
        let at = |seconds: u64| Timestamp::from_millis(1_000_000 + seconds * 1_000);
        for number in 0..2_000 {
            wants.put(id(number), id(9_000), at(0), &options);
        }
        assert_eq!(wants.len(), OF_PEER);
        assert_eq!(wants.next(&id(9_000), at(0), &options).len(), MAX_ITEMS);
        assert!(wants.next(&id(9_000), at(1), &options).is_empty(), "it has enough to do");
        wants.put(id(0), id(9_001), at(4), &options);
        assert!(wants.next(&id(9_001), at(4), &options).is_empty(), "one at a time");
        // The first one was silent: another may.
        wants.put(id(0), id(9_000), at(5), &options);
        wants.put(id(0), id(9_001), at(5), &options);
        assert_eq!(wants.next(&id(9_001), at(5), &options), [id(0)]);
        assert!(wants.is_asked(&id(0), &id(9_001)) && !wants.is_asked(&id(0), &id(9_000)));
        wants.remove(&id(0), &id(9_000));
        assert!(wants.is_asked(&id(0), &id(9_001)));
        wants.remove(&id(0), &id(9_001));
        wants.expire(at(6), &options);
        assert_eq!(wants.len(), 0);
        wants.put(id(1), id(9_000), at(25), &options);
        assert_eq!(wants.len(), 0);
        wants.expire(at(26), &options);
        wants.put(id(1), id(9_000), at(26), &options);
        assert_eq!(wants.len(), 1);
    }
}
