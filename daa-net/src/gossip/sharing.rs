//! What is shown, asked for and given: messages that were missed, and keys.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use daa_core::clock::Timestamp;

use super::Gossip;
use super::message::MessageId;
use super::score::GOSSIP;
use super::topic::Topic;
use super::wire::{Have, MAX_IDS, MAX_KEYS, pack, read_ids, read_nodes, read_topic};
use crate::identity;
use crate::machine::MessageError;
use crate::node_id::NodeId;

/// What was asked for should be there in so long.
const PROMISE: Duration = Duration::from_secs(3);
/// The most that is asked for, of one peer between two beats and of all at a time.
const ASKED: usize = 256;
/// And of one that has not kept its promises, or done worse.
const ASKED_OF_THE_BAD: usize = 16;
const PROMISES: usize = 8_192;
/// Keys that are withheld at once count so many times at most: what is lost together is one loss.
const KEYS_AT_ONCE: usize = 3;
/// So many peers are asked for one message: one of them may never give it.
const ASKED_FOR_ONE: usize = 3;
/// A peer is shown everything at most so often.
const DIGEST: Duration = Duration::from_secs(5);

/// The first and the last node there can be.
const FIRST: NodeId = NodeId::from_bytes([0; 32]);
const LAST: NodeId = NodeId::from_bytes([0xff; 32]);

impl Gossip {
    /// Shows a peer the messages of a topic that came in this beat or later.
    pub(super) fn show(&mut self, peer: NodeId, topic: &Topic, since: u64) {
        let ids = self.cache.since(since, topic, MAX_IDS);
        if !ids.is_empty() {
            let ids = pack(ids.iter().map(MessageId::as_bytes));
            self.frame(peer).have.push(Have { topic: topic.to_string(), ids });
            // Each with a frame of its own: together they could be too large.
            self.flush();
        }
    }

    /// Shows a peer all messages of these topics, unless it was shown them just now.
    pub(super) fn show_everything(&mut self, to: NodeId, topics: &[Topic], now: Timestamp) {
        let Some(peer) = self.peers.get_mut(&to) else { return };
        if peer.digest.is_none_or(|last| now.since(last) >= DIGEST) {
            peer.digest = Some(now);
            for topic in
                topics.iter().filter(|topic| self.topics.contains_key(topic)).cloned().collect::<Vec<_>>()
            {
                self.show(to, &topic, 0);
            }
        }
    }

    pub(super) fn take_have(
        &mut self,
        from: NodeId,
        have: &Have,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        let (topic, ids) = (read_topic(&have.topic)?, read_ids(&have.ids)?);
        let score = self.scores.score(&from);
        let is_trusted = score >= GOSSIP;
        let most = if score >= 0.0 { ASKED } else { ASKED_OF_THE_BAD };
        let Some(peer) = self.peers.get_mut(&from) else { return Ok(()) };
        peer.shown += ids.len();
        if !is_trusted || !self.topics.contains_key(&topic) || peer.shown > 4 * MAX_IDS {
            return Ok(());
        }
        let mut wanted = Vec::new();
        for id in ids {
            let asked = self.promises.range((id, FIRST)..=(id, LAST)).count();
            let is_asked = asked >= ASKED_FOR_ONE || self.promises.contains_key(&(id, from));
            let has_room = peer.asked < most && self.promises.len() < PROMISES;
            if !self.seen.contains(&id) && !is_asked && has_room {
                peer.asked += 1;
                self.promises.insert((id, from), now + PROMISE);
                wanted.push(id);
            }
        }
        if !wanted.is_empty() {
            let wanted = pack(wanted.iter().map(MessageId::as_bytes));
            let frame = self.frame(from);
            frame.want = [&*frame.want, &*wanted].concat().into();
        }
        Ok(())
    }

    /// A message is there: nobody has to give it any more.
    pub(super) fn forgo(&mut self, id: MessageId) {
        let asked: Vec<_> = self.promises.range((id, FIRST)..=(id, LAST)).map(|(asked, _)| *asked).collect();
        for asked in asked {
            self.promises.remove(&asked);
        }
    }

    pub(super) fn give_messages(
        &mut self,
        to: NodeId,
        ids: &Bytes,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        if self.scores.score(&to) < GOSSIP {
            return Ok(());
        }
        for id in read_ids(ids)? {
            let Some(message) = self.cache.message(&id) else { continue };
            let (kib, bytes) = (1 + (message.size() >> 10) as u64, message.encode());
            if self.given.take(to, kib, now).is_err() {
                break;
            }
            self.frame(to).messages.push(bytes);
        }
        Ok(())
    }

    pub(super) fn ask_for_key(&mut self, of: NodeId, author: NodeId) {
        let frame = self.frame(of);
        if frame.want_keys.len() < 32 * MAX_KEYS {
            frame.want_keys = [&*frame.want_keys, &author.as_bytes()[..]].concat().into();
        }
    }

    pub(super) fn give_keys(
        &mut self,
        to: NodeId,
        nodes: &Bytes,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        for node in read_nodes(nodes)? {
            let key = if node == self.me { Some(self.key.clone()) } else { self.keys.key(&node) };
            let Some(key) = key.map(|key| Bytes::from(key.encode())) else { continue };
            if self.given.take(to, 1 + (key.len() >> 10) as u64, now).is_err() {
                break;
            }
            self.frame(to).keys.push(key);
        }
        Ok(())
    }

    pub(super) fn take_key(
        &mut self,
        from: NodeId,
        bytes: &Bytes,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        let key = self.suite.decode_verifying_key(bytes).ok().filter(|key| identity::check(key).is_ok());
        let Some(key) = key else {
            self.blame(from);
            return Err(MessageError { what: "a key that is none" });
        };
        let author = NodeId::of(&key);
        if !self.parked.is_asked(&author, &from) {
            return Ok(());
        }
        self.keys.put(&key);
        for (sender, message) in self.parked.take(&author) {
            // Each sender is judged by what it has sent.
            let _ = self.judge(sender, message, &key, now);
        }
        Ok(())
    }

    /// What was promised and did not come: messages once for each peer and beat, keys a few times.
    pub(super) fn end_promises(&mut self, now: Timestamp) {
        let late = self.promises.iter().filter(|(_, until)| **until <= now);
        let mut silent: Vec<_> = late.map(|((_, peer), _)| *peer).collect();
        self.promises.retain(|_, until| *until > now);
        let (asked_for_keys, again) = self.parked.late(now);
        for (peer, author) in again {
            self.ask_for_key(peer, author);
        }
        silent.sort_unstable();
        silent.dedup();
        let mut keys: BTreeMap<NodeId, usize> = BTreeMap::new();
        asked_for_keys.into_iter().for_each(|peer| *keys.entry(peer).or_default() += 1);
        silent.extend(
            keys.into_iter().flat_map(|(peer, count)| std::iter::repeat_n(peer, count.min(KEYS_AT_ONCE))),
        );
        for peer in silent {
            self.scores.broken(peer);
        }
    }
}
