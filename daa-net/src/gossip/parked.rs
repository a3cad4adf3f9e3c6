//! Messages whose author's key is not known yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daa_core::clock::Timestamp;

use super::message::SignedMessage;
use crate::node_id::NodeId;

/// An answer has so long; then another is asked.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most messages, and bytes, of one peer and of all.
const OF_PEER: (usize, usize) = (64, 1 << 20);
const OF_ALL: (usize, usize) = (1_024, 8 << 20);
/// Copies of one message: the first may have a signature that is none.
const COPIES: usize = 3;

/// So many are asked for one key: one of them may never give it.
const ASKED: usize = 2;

/// Messages by author, and who is asked for the key: whoever has passed one on must have had it.
#[derive(Debug, Default)]
pub(super) struct Parked(BTreeMap<NodeId, Waiting>);

#[derive(Debug)]
struct Waiting {
    asked: BTreeSet<NodeId>,
    until: Timestamp,
    copies: Vec<(NodeId, SignedMessage)>,
}

impl Parked {
    /// Parks a message if there is room; whether its sender is to be asked for the key.
    pub(super) fn put(&mut self, from: NodeId, message: SignedMessage, now: Timestamp) -> bool {
        let all = || self.0.values().flat_map(|waiting| &waiting.copies);
        let (size, id, author) = (message.size(), message.id(), message.message().author);
        let fits = |count: usize, bytes: usize, (max_count, max_bytes): (usize, usize)| {
            count < max_count && bytes + size <= max_bytes
        };
        let of_peer = || all().filter(|(sender, _)| *sender == from);
        let bytes = |sum: usize, (_, message): &(NodeId, SignedMessage)| sum + message.size();
        let same = all().filter(|(_, message)| message.id() == id);
        let has_room = fits(of_peer().count(), of_peer().fold(0, bytes), OF_PEER)
            && fits(all().count(), all().fold(0, bytes), OF_ALL)
            && same.clone().count() < COPIES
            && !same.clone().any(|(sender, _)| *sender == from);
        if !has_room {
            return false;
        }
        let waiting = || Waiting { asked: BTreeSet::new(), until: now + PATIENCE, copies: Vec::new() };
        let waiting = self.0.entry(author).or_insert_with(waiting);
        waiting.copies.push((from, message));
        waiting.asked.len() < ASKED && waiting.asked.insert(from)
    }

    /// Whether this peer was asked for the key of this author.
    pub(super) fn is_asked(&self, author: &NodeId, peer: &NodeId) -> bool {
        self.0.get(author).is_some_and(|waiting| waiting.asked.contains(peer))
    }

    /// What waited for the key of this author.
    pub(super) fn take(&mut self, author: &NodeId) -> Vec<(NodeId, SignedMessage)> {
        self.0.remove(author).map(|waiting| waiting.copies).unwrap_or_default()
    }

    pub(super) fn drop_from(&mut self, peer: &NodeId) {
        for waiting in self.0.values_mut() {
            waiting.copies.retain(|(sender, _)| sender != peer);
        }
        self.0.retain(|_, waiting| !waiting.copies.is_empty());
    }

    /// Those who did not answer in time, with whom to ask for which key instead.
    pub(super) fn late(&mut self, now: Timestamp) -> (Vec<NodeId>, Vec<(NodeId, NodeId)>) {
        let (mut silent, mut again) = (Vec::new(), Vec::new());
        for (author, waiting) in self.0.iter_mut().filter(|(_, waiting)| waiting.until <= now) {
            let asked = std::mem::take(&mut waiting.asked);
            waiting.copies.retain(|(sender, _)| !asked.contains(sender));
            silent.extend(asked);
            if let Some((next, _)) = waiting.copies.first() {
                waiting.asked.insert(*next);
                waiting.until = now + PATIENCE;
                again.push((*next, *author));
            }
        }
        self.0.retain(|_, waiting| !waiting.copies.is_empty());
        (silent, again)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.values().map(|waiting| waiting.copies.len()).sum()
    }
}
