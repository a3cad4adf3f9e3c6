//! Meshes: for each topic, a few peers that are sent each message at once.

use std::time::Duration;

use daa_core::clock::Timestamp;

use super::score::GOSSIP;
use super::topic::Topic;
use super::wire::Prune;
use super::{BEAT, Gossip, Joined};
use crate::chance::shuffle;
use crate::node_id::NodeId;

/// How many peers a mesh should have, from which number on it is filled, and the most there may be.
const DEGREE: usize = 8;
const FEW: usize = 6;
const MANY: usize = 12;
/// So many this node chooses itself, whoever else wants in.
const CHOSEN: usize = 4;
/// Each so many beats, the one that does least makes room for another.
const RENEWED: u64 = 60;
/// How many peers are shown what is new at each beat, from how many beats.
const LAZY: usize = 6;
const HISTORY: u64 = 3;
/// Each so many beats, topics are told again, and some peers are shown everything: links lose messages.
const AGAIN: u64 = 10;
const DIGESTS: usize = 2;
/// How long a peer that was sent away stays away; and at most, if it says so.
const BACKOFF: Duration = Duration::from_secs(60);
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);
/// The most peers that stay away from a topic.
const AWAY: usize = 1_024;

impl Joined {
    /// Whether one more may come by itself: room is kept for those of one's own choice.
    fn has_room(&self) -> bool {
        let came = self.mesh.len() - self.chosen.len();
        came + self.chosen.len().max(CHOSEN) < MANY
    }
}

impl Gossip {
    pub(super) fn heartbeat(&mut self, now: Timestamp) {
        self.forget(now);
        self.end_promises(now);
        let is_again = self.beat.is_multiple_of(AGAIN);
        if is_again {
            self.announce();
        }
        for topic in self.topics.keys().cloned().collect::<Vec<_>>() {
            self.look_after_mesh(&topic, now);
            if is_again {
                self.graft_again(&topic);
            }
            self.flush();
            let is_trusted = |gossip: &Self, peer: &NodeId| gossip.scores.score(peer) >= GOSSIP;
            let mut shown = self.pick_peers(&topic, usize::MAX, is_trusted);
            // Those outside of the mesh have not been sent anything, and those that are behind not all.
            let is_behind = |peer: &NodeId| self.peers.get(peer).is_some_and(|peer| peer.is_behind);
            shown.sort_by_key(|peer| (!is_behind(peer), self.is_in_mesh(peer, &topic)));
            let behind = shown.iter().filter(|peer| is_behind(peer)).count();
            for peer in shown.iter().take(LAZY.max(behind)) {
                self.show(*peer, &topic, (self.beat + 1).saturating_sub(HISTORY));
            }
            if is_again {
                for peer in self.pick_peers(&topic, DIGESTS, is_trusted) {
                    self.show(peer, &topic, 0);
                }
            }
        }
        self.peers.values_mut().for_each(|peer| peer.is_behind = false);
    }

    fn forget(&mut self, now: Timestamp) {
        self.scores.decay();
        self.seen.expire(now);
        let beats = u64::try_from(self.options.lifetime.as_millis() / BEAT.as_millis()).unwrap_or(u64::MAX);
        self.cache.forget_before(self.beat.saturating_sub(beats));
        self.pending.retain(|_, pending| pending.until > now);
        for quotas in [&mut self.received, &mut self.authors, &mut self.given, &mut self.pushed] {
            quotas.forget(now);
        }
        for (node, peer) in &mut self.peers {
            (peer.shown, peer.asked) = (0, 0);
            peer.is_ignored = peer.is_ignored && self.scores.score(node) < GOSSIP;
        }
        for joined in self.topics.values_mut() {
            joined.backoff.retain(|_, until| *until > now);
        }
    }

    fn look_after_mesh(&mut self, topic: &Topic, now: Timestamp) {
        let Some(joined) = self.topics.get(topic) else { return };
        let bad = joined.mesh.iter().filter(|peer| self.score(peer) < 0.0);
        for peer in bad.copied().collect::<Vec<_>>() {
            self.send_away(peer, topic, now);
        }
        if self.beat.is_multiple_of(RENEWED) {
            self.renew(topic, now);
        }
        self.fill_mesh(topic, now);
    }

    /// Lets who brings least make room for who brings most from outside of the mesh.
    fn renew(&mut self, topic: &Topic, now: Timestamp) {
        let is_outside = |gossip: &Self, peer: &NodeId| {
            !gossip.is_in_mesh(peer, topic) && !gossip.is_away(peer, topic, now)
        };
        let outside = self.pick_peers(topic, usize::MAX, is_outside);
        let best = outside.into_iter().max_by(|one, other| self.score(one).total_cmp(&self.score(other)));
        if let Some(best) = best
            && self.make_room_for(best, topic, now)
        {
            self.graft(best, topic);
        }
    }

    /// Sends away who brings least, if this peer brings more than twice as much; whether it did.
    fn make_room_for(&mut self, peer: NodeId, topic: &Topic, now: Timestamp) -> bool {
        let Some(joined) = self.topics.get(topic) else { return false };
        let least = joined.mesh.iter().min_by(|one, other| self.score(one).total_cmp(&self.score(other)));
        match least.copied() {
            Some(least) if self.score(&least) * 2.0 < self.score(&peer) => {
                self.send_away(least, topic, now);
                true
            }
            _ => false,
        }
    }

    fn graft(&mut self, peer: NodeId, topic: &Topic) {
        if let Some(joined) = self.topics.get_mut(topic) {
            joined.mesh.insert(peer);
            joined.chosen.insert(peer);
        }
        self.frame(peer).graft.push(topic.to_string());
    }

    /// Takes more peers into a mesh that has few, or few that this node has chosen.
    pub(super) fn fill_mesh(&mut self, topic: &Topic, now: Timestamp) {
        let is_free = |gossip: &Self, peer: &NodeId| {
            gossip.scores.score(peer) >= 0.0
                && !gossip.is_in_mesh(peer, topic)
                && !gossip.is_away(peer, topic, now)
        };
        let Some(joined) = self.topics.get(topic) else { return };
        let missing = if joined.mesh.len() < FEW { DEGREE - joined.mesh.len() } else { 0 };
        let missing = missing.max(CHOSEN.saturating_sub(joined.chosen.len()));
        for peer in self.pick_peers(topic, missing, is_free) {
            self.graft(peer, topic);
        }
    }

    fn graft_again(&mut self, topic: &Topic) {
        let mesh = self.topics.get(topic).map(|joined| joined.mesh.clone()).unwrap_or_default();
        for peer in mesh {
            let frame = self.frame(peer);
            if !frame.graft.iter().any(|grafted| grafted == topic.as_str()) {
                frame.graft.push(topic.to_string());
            }
        }
    }

    pub(super) fn take_graft(&mut self, from: NodeId, topic: &Topic, now: Timestamp) {
        if self.is_in_mesh(&from, topic) {
            return;
        }
        let is_away = self.is_away(&from, topic, now);
        if is_away {
            self.is_disorderly(from);
        }
        let is_good = self.scores.score(&from) >= 0.0 && !is_away && self.has_topic(&from, topic);
        let has_room = self.topics.get(topic).is_some_and(Joined::has_room);
        let is_taken = is_good && (has_room || self.make_room_for(from, topic, now));
        match self.topics.get_mut(topic) {
            Some(joined) if is_taken => {
                joined.mesh.insert(from);
            }
            Some(_) => self.send_away(from, topic, now),
            None => self.send_prune(from, topic),
        }
    }

    pub(super) fn take_prune(&mut self, from: NodeId, topic: &Topic, backoff: Duration, now: Timestamp) {
        self.remove_from_mesh(from, topic);
        self.keep_away(from, topic, now + backoff.clamp(BACKOFF, LONGEST_BACKOFF));
    }

    fn send_away(&mut self, peer: NodeId, topic: &Topic, now: Timestamp) {
        self.remove_from_mesh(peer, topic);
        self.keep_away(peer, topic, now + BACKOFF);
        self.send_prune(peer, topic);
    }

    pub(super) fn send_prune(&mut self, peer: NodeId, topic: &Topic) {
        let backoff = u64::try_from(BACKOFF.as_millis()).unwrap_or(u64::MAX);
        self.frame(peer).prune.push(Prune { topic: topic.to_string(), backoff });
    }

    pub(super) fn remove_from_mesh(&mut self, peer: NodeId, topic: &Topic) {
        if let Some(joined) = self.topics.get_mut(topic) {
            joined.remove(&peer);
        }
    }

    fn keep_away(&mut self, peer: NodeId, topic: &Topic, until: Timestamp) {
        if let Some(joined) = self.topics.get_mut(topic)
            && (joined.backoff.len() < AWAY || joined.backoff.contains_key(&peer))
        {
            joined.backoff.insert(peer, until);
        }
    }

    fn is_away(&self, peer: &NodeId, topic: &Topic, now: Timestamp) -> bool {
        let until = self.topics.get(topic).and_then(|joined| joined.backoff.get(peer));
        until.is_some_and(|until| *until > now)
    }

    fn is_in_mesh(&self, peer: &NodeId, topic: &Topic) -> bool {
        self.topics.get(topic).is_some_and(|joined| joined.mesh.contains(peer))
    }

    /// So many peers that are interested in a topic, at random.
    pub(super) fn pick_peers(
        &mut self,
        topic: &Topic,
        count: usize,
        is_good: impl Fn(&Self, &NodeId) -> bool,
    ) -> Vec<NodeId> {
        let interested =
            self.peers.iter().filter(|(_, peer)| peer.topics.contains(topic) && !peer.is_ignored);
        let mut peers: Vec<_> =
            interested.map(|(node, _)| *node).filter(|node| is_good(self, node)).collect();
        shuffle(&mut peers, &mut self.rng);
        peers.truncate(count);
        peers
    }
}
