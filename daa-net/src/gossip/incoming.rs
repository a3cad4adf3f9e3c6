//! What comes from peers.

use std::time::Duration;

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_crypto::VerifyingKey;

use super::message::SignedMessage;
use super::wire::{Frame, MAX_TOPICS, Subscriptions, read_topic};
use super::{Effect, Gossip, GossipEvent, Validation};
use crate::machine::MessageError;
use crate::node_id::NodeId;

/// How long the application has for its verdict, and of how many messages.
pub(super) const VERDICT: Duration = Duration::from_secs(60);
const PENDING: usize = 1_024;
/// How many senders of such a message are remembered.
const SENDERS: usize = 16;
/// A message costs one token, and one more for so many bytes.
const BYTES: usize = 4 << 10;

/// What so many bytes cost.
pub(super) const fn price(bytes: usize) -> u64 {
    1 + (bytes / BYTES) as u64
}

/// A message that the application has not judged yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) message: SignedMessage,
    /// Who has sent it, the first one first.
    pub(super) senders: Vec<NodeId>,
    pub(super) until: Timestamp,
}

impl Gossip {
    pub(super) fn take_frame(
        &mut self,
        from: NodeId,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), MessageError> {
        match self.peers.get(&from) {
            Some(peer) if peer.is_ignored => return Err(MessageError { what: "of a peer that misbehaved" }),
            Some(_) => {}
            // It comes from a connection that is gone.
            None => return Ok(()),
        }
        let frame = match Frame::read(bytes, self.options.max_payload) {
            Ok(frame) => frame,
            Err(error) => {
                self.blame(from);
                return Err(error);
            }
        };
        let of_messages: usize = frame.messages.iter().map(Bytes::len).sum();
        self.pay(from, bytes.len().saturating_sub(of_messages), now)?;
        if let Some(subscriptions) = &frame.subscriptions {
            self.take_subscriptions(from, subscriptions, now)?;
        }
        for topic in &frame.graft {
            self.take_graft(from, &read_topic(topic)?, now);
        }
        for prune in &frame.prune {
            let topic = read_topic(&prune.topic)?;
            self.take_prune(from, &topic, Duration::from_millis(prune.backoff), now);
        }
        for message in frame.messages {
            self.take_message(from, message, now)?;
        }
        for have in &frame.have {
            self.take_have(from, have, now)?;
        }
        self.give_messages(from, &frame.want, now)?;
        self.give_keys(from, &frame.want_keys, now)?;
        for key in &frame.keys {
            self.take_key(from, key, now)?;
        }
        Ok(())
    }

    fn pay(&mut self, from: NodeId, bytes: usize, now: Timestamp) -> Result<(), MessageError> {
        let paid = self.received.take(from, price(bytes), now);
        if paid.is_err() {
            self.is_disorderly(from);
        }
        paid
    }

    fn take_subscriptions(
        &mut self,
        from: NodeId,
        subscriptions: &Subscriptions,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        let topics = subscriptions.topics.iter().map(|topic| read_topic(topic)).collect::<Result<_, _>>()?;
        let Some(peer) = self.peers.get_mut(&from).filter(|peer| subscriptions.version >= peer.version)
        else {
            return Ok(());
        };
        peer.version = subscriptions.version;
        let before = std::mem::replace(&mut peer.topics, topics);
        let added: Vec<_> = peer.topics.difference(&before).cloned().collect();
        for topic in before {
            if let Some(joined) = self.topics.get_mut(&topic)
                && self.peers.get(&from).is_some_and(|peer| !peer.topics.contains(&topic))
            {
                joined.remove(&from);
            }
        }
        if !added.is_empty() {
            self.show_everything(from, &added, now);
        }
        Ok(())
    }

    fn take_message(&mut self, from: NodeId, bytes: Bytes, now: Timestamp) -> Result<(), MessageError> {
        let len = bytes.len();
        let Some(message) = SignedMessage::read(bytes, &self.network, self.options.max_payload) else {
            self.blame(from);
            return Err(MessageError { what: "no message of this network" });
        };
        let (id, said) = (message.id(), message.message());
        // What was asked for is paid for.
        if self.promises.remove(&(id, from)).is_none() {
            self.pay(from, len, now)?;
        }
        if let Some(pending) = self.pending.get_mut(&id) {
            if pending.senders.len() < SENDERS && !pending.senders.contains(&from) {
                pending.senders.push(from);
            }
            return Ok(());
        }
        let is_wanted = self.topics.contains_key(&said.topic) && said.author != self.me;
        if !is_wanted || self.seen.contains(&id) || !self.seen.is_timely(said.issued, now) {
            return Ok(());
        }
        let author = said.author;
        match self.keys.key(&author) {
            Some(key) => self.judge(from, message, &key, now),
            // Who has done badly is not waited for.
            None => {
                if self.scores.score(&from) >= 0.0 && self.parked.put(from, message, now) {
                    self.ask_for_key(from, author);
                }
                Ok(())
            }
        }
    }

    /// Takes a message if its author has signed it.
    pub(super) fn judge(
        &mut self,
        from: NodeId,
        signed: SignedMessage,
        key: &VerifyingKey,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        let id = signed.id();
        if self.seen.contains(&id) {
            return Ok(());
        }
        if !signed.is_signed(&self.suite, key) {
            self.blame(from);
            return Err(MessageError { what: "a message that its author has not signed" });
        }
        let message = signed.message();
        let Some(validation) = self.topics.get(&message.topic).map(|joined| joined.validation) else {
            return Ok(());
        };
        let has_room = validation == Validation::Signature || self.pending.len() < PENDING;
        // Only what it has signed counts against an author.
        if !has_room
            || self.authors.take(message.author, 1, now).is_err()
            || !self.seen.insert(id, message, now)
        {
            return Ok(());
        }
        self.forgo(id);
        let event = GossipEvent::Message { id, from, message: message.clone() };
        self.effects.push_back(Effect::Tell(event));
        match validation {
            Validation::Signature => self.accept(signed, Some(from), now),
            Validation::Application => {
                let pending = Pending { message: signed, senders: vec![from], until: now + VERDICT };
                self.pending.insert(id, pending);
            }
        }
        Ok(())
    }

    /// Passes a message on.
    pub(super) fn accept(&mut self, signed: SignedMessage, from: Option<NodeId>, now: Timestamp) {
        if let Some(from) = from {
            self.scores.first(from);
        }
        let (topic, author) = (&signed.message().topic, signed.message().author);
        let mesh = self.topics.get(topic).map(|joined| joined.mesh.clone()).unwrap_or_default();
        let bytes = signed.encode();
        for peer in mesh.into_iter().filter(|peer| Some(*peer) != from && *peer != author) {
            self.push(peer, &bytes, now);
        }
        self.cache.put(signed, self.beat);
    }

    /// Whether a peer may have one more topic.
    pub(super) fn has_topic(&mut self, peer: &NodeId, topic: &super::Topic) -> bool {
        let Some(peer) = self.peers.get_mut(peer) else { return false };
        peer.topics.contains(topic) || (peer.topics.len() < MAX_TOPICS && peer.topics.insert(topic.clone()))
    }
}
