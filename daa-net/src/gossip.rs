//! What many are to hear: messages on topics, signed by their authors, passed on by whoever is interested.
//!
//! After gossipsub 1.1 (Vyzovitis et al. 2020): each node pushes to a few peers of a topic, its mesh, and now and then shows others
//! what it has. Here messages are signed with post-quantum keys that travel apart from them, and expire.

mod cache;
mod incoming;
mod mesh;
mod message;
mod options;
mod parked;
mod score;
mod seen;
mod sharing;
#[cfg(test)]
mod tests;
mod topic;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::seed::{Rng, Seed};
use daa_crypto::{CryptoSuite, VerifyingKey};
use prost::Message as _;

use crate::auth::keys::KeyBook;
use crate::chance::share;
use crate::machine::{Effect, Machine, MessageError};
use crate::network::NetworkName;
use crate::node_id::NodeId;
use crate::quota::{Quotas, Rate};

pub use message::{MAX_PAYLOAD, MessageId, PublishError, SignedMessage, TopicMessage};
pub use options::GossipOptions;
pub use topic::{ParseTopicError, Topic};

use cache::Cache;
use incoming::{Pending, price};
use parked::Parked;
use score::{IGNORED, Scores};
use seen::Seen;
use wire::{Frame, MAX_MESSAGES, MAX_TOPICS, Subscriptions};

/// How often the meshes are looked after.
const BEAT: Duration = Duration::from_secs(1);
/// A message of this node goes to so many peers.
const PUBLISHED: usize = 12;
/// What a peer may be given, in KiB.
const GIVEN: Rate = Rate::per_second(4 << 10, 16 << 10);

/// Who decides whether a message is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Validation {
    /// All that their authors have signed are.
    Signature,
    /// The application, by a [`Verdict`] within a minute.
    Application,
}

/// What the application finds of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is passed on.
    Accept,
    /// It is not passed on, and nobody is to blame.
    Ignore,
    /// It is not passed on, and whoever passed it on should have known.
    Reject,
}

/// What gossip tells the rest of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GossipEvent {
    /// A message, signed by its author, that was not told before.
    Message {
        /// Which.
        id: MessageId,
        /// Who passed it on.
        from: NodeId,
        /// What it says.
        message: TopicMessage,
    },
    /// Nothing of this peer is read any more, for some minutes.
    Misbehaved(NodeId),
}

/// There are more topics than a node can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node has at most {MAX_TOPICS} topics")]
#[non_exhaustive]
pub struct TooManyTopics;

impl Reaction for TooManyTopics {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// A topic that this node is interested in.
#[derive(Debug)]
struct Joined {
    validation: Validation,
    /// Those who are sent each message at once.
    mesh: BTreeSet<NodeId>,
    /// Those of them that this node has chosen itself.
    chosen: BTreeSet<NodeId>,
    /// Until when a peer is not to be in the mesh.
    backoff: BTreeMap<NodeId, Timestamp>,
}

impl Joined {
    fn remove(&mut self, peer: &NodeId) {
        self.mesh.remove(peer);
        self.chosen.remove(peer);
    }
}

/// A peer that is connected.
#[derive(Debug, Default)]
struct Peer {
    topics: BTreeSet<Topic>,
    /// Of its topics.
    version: u64,
    /// How many ids it has shown since the last beat, and how many of them were asked for.
    shown: usize,
    asked: usize,
    /// When it was last shown everything.
    digest: Option<Timestamp>,
    is_ignored: bool,
    /// It was not sent a message, because it has had as much as it takes: it is shown what there is.
    is_behind: bool,
}

/// A node's part in the gossip of a network.
#[derive(Debug)]
pub(crate) struct Gossip {
    options: GossipOptions,
    suite: CryptoSuite,
    network: NetworkName,
    me: NodeId,
    key: VerifyingKey,
    keys: KeyBook,
    topics: BTreeMap<Topic, Joined>,
    /// Of the topics, as they were last told.
    version: u64,
    peers: BTreeMap<NodeId, Peer>,
    scores: Scores,
    seen: Seen,
    cache: Cache,
    parked: Parked,
    pending: BTreeMap<MessageId, Pending>,
    /// What was asked for, of whom, and until when it should be there.
    promises: BTreeMap<(MessageId, NodeId), Timestamp>,
    received: Quotas,
    authors: Quotas,
    given: Quotas,
    /// What peers were sent unasked.
    pushed: Quotas,
    beat: u64,
    next_beat: Timestamp,
    /// What is to be sent when the work is done.
    frames: BTreeMap<NodeId, Frame>,
    rng: Rng,
    effects: VecDeque<Effect<GossipEvent>>,
}

impl Gossip {
    /// The gossip of the node with this key.
    pub(crate) fn new(
        options: GossipOptions,
        suite: CryptoSuite,
        network: NetworkName,
        key: VerifyingKey,
        seed: Seed,
        now: Timestamp,
    ) -> Self {
        let mut rng = seed.rng();
        Self {
            suite,
            network,
            me: NodeId::of(&key),
            key,
            keys: KeyBook::default(),
            topics: BTreeMap::new(),
            version: 0,
            peers: BTreeMap::new(),
            scores: Scores::default(),
            seen: Seen::new(options.seen, options.lifetime),
            cache: Cache::new(options.cached),
            parked: Parked::default(),
            pending: BTreeMap::new(),
            promises: BTreeMap::new(),
            received: Quotas::new(Rate::per_second(options.per_second, options.per_second * 5)),
            authors: Quotas::new(Rate::per_second(options.per_author, options.per_author * 5)),
            given: Quotas::new(GIVEN),
            pushed: Quotas::new(options.pushing()),
            beat: 0,
            next_beat: now + BEAT.mul_f64(share(&mut rng)),
            frames: BTreeMap::new(),
            rng,
            effects: VecDeque::new(),
            options,
        }
    }

    /// A key that was verified elsewhere: it need not be asked for.
    pub(crate) fn remember(&self, key: &VerifyingKey) {
        self.keys.put(key);
    }

    /// Takes part in a topic.
    pub(crate) fn subscribe(
        &mut self,
        topic: Topic,
        validation: Validation,
        now: Timestamp,
    ) -> Result<(), TooManyTopics> {
        if self.topics.len() >= MAX_TOPICS && !self.topics.contains_key(&topic) {
            return Err(TooManyTopics);
        }
        let (mesh, chosen, backoff) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let joined = || Joined { validation, mesh, chosen, backoff };
        self.topics.entry(topic.clone()).or_insert_with(joined).validation = validation;
        self.version = now.as_millis().max(self.version + 1);
        self.announce();
        self.fill_mesh(&topic, now);
        self.flush();
        Ok(())
    }

    /// Takes part no more.
    pub(crate) fn unsubscribe(&mut self, topic: &Topic, now: Timestamp) {
        if let Some(joined) = self.topics.remove(topic) {
            for peer in joined.mesh {
                self.send_prune(peer, topic);
            }
            self.version = now.as_millis().max(self.version + 1);
            self.announce();
            self.flush();
        }
    }

    /// Publishes a message of this node, on any topic.
    pub(crate) fn publish(
        &mut self,
        signed: SignedMessage,
        now: Timestamp,
    ) -> Result<MessageId, PublishError> {
        let (id, message) = (signed.id(), signed.message());
        let (len, max) = (message.payload.len(), self.options.max_payload);
        if len > max {
            return Err(PublishError::Size { len, max });
        }
        if message.author != self.me || !self.seen.is_timely(message.issued, now) {
            return Err(PublishError::NotOurs);
        }
        if self.seen.contains(&id) {
            return Err(PublishError::Again);
        }
        if !self.seen.insert(id, message, now) {
            return Err(PublishError::TooMuch);
        }
        let topic = message.topic.clone();
        let mut to: BTreeSet<_> = self.topics.get(&topic).map(|it| it.mesh.clone()).unwrap_or_default();
        for peer in self.pick_peers(&topic, PUBLISHED, |_, _| true) {
            if to.len() < PUBLISHED {
                to.insert(peer);
            }
        }
        let bytes = signed.encode();
        for peer in to {
            self.push(peer, &bytes, now);
        }
        self.cache.put(signed, self.beat);
        self.flush();
        Ok(id)
    }

    /// Sends a message unasked, unless the peer has had as much as it takes: then it is shown the message, and can ask for it. Nobody
    /// is to look disorderly because many have much to say.
    fn push(&mut self, to: NodeId, message: &Bytes, now: Timestamp) {
        // The frame costs one too.
        if self.pushed.take(to, 1 + price(message.len()), now).is_ok() {
            self.frame(to).messages.push(message.clone());
        } else if let Some(peer) = self.peers.get_mut(&to) {
            peer.is_behind = true;
        }
    }

    /// What the application finds of a message that was told.
    pub(crate) fn validated(&mut self, id: &MessageId, verdict: Verdict, now: Timestamp) {
        let Some(Pending { message, senders, .. }) = self.pending.remove(id) else { return };
        match verdict {
            Verdict::Accept => self.accept(message, senders.first().copied(), now),
            Verdict::Ignore => {}
            Verdict::Reject => senders.into_iter().for_each(|sender| self.blame(sender)),
        }
        self.flush();
    }

    /// What a peer is worth: below zero it is in no mesh.
    pub(crate) fn score(&self, peer: &NodeId) -> f64 {
        self.scores.score(peer)
    }

    /// A message of this peer was forged, or wrong.
    fn blame(&mut self, peer: NodeId) {
        self.scores.invalid(peer);
        self.ignore_the_worst(peer);
    }

    fn is_disorderly(&mut self, peer: NodeId) {
        self.scores.disorderly(peer);
        self.ignore_the_worst(peer);
    }

    fn ignore_the_worst(&mut self, peer: NodeId) {
        let is_worst = self.scores.score(&peer) < IGNORED;
        if let Some(known) = self.peers.get_mut(&peer)
            && is_worst
            && !known.is_ignored
        {
            known.is_ignored = true;
            self.parked.drop_from(&peer);
            for topic in self.topics.keys().cloned().collect::<Vec<_>>() {
                self.remove_from_mesh(peer, &topic);
            }
            self.effects.push_back(Effect::Tell(GossipEvent::Misbehaved(peer)));
        }
    }

    fn subscriptions(&self) -> Subscriptions {
        let topics = self.topics.keys().map(ToString::to_string).collect();
        Subscriptions { version: self.version, topics }
    }

    fn announce(&mut self) {
        let subscriptions = self.subscriptions();
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.frame(peer).subscriptions = Some(subscriptions.clone());
        }
    }

    fn frame(&mut self, to: NodeId) -> &mut Frame {
        self.frames.entry(to).or_default()
    }

    /// Sends what has come together, in frames that are not too large.
    fn flush(&mut self) {
        let room = self.options.max_payload + message::OVERHEAD;
        for (to, mut frame) in std::mem::take(&mut self.frames) {
            if !self.peers.contains_key(&to) {
                continue;
            }
            let mut bytes = 0;
            for message in std::mem::take(&mut frame.messages) {
                if bytes + message.len() > room || frame.messages.len() >= MAX_MESSAGES {
                    let full = std::mem::take(&mut frame);
                    self.effects.push_back(Effect::Send { to, message: full.encode_to_vec().into() });
                    bytes = 0;
                }
                bytes += message.len() + 8;
                frame.messages.push(message);
            }
            self.effects.push_back(Effect::Send { to, message: frame.encode_to_vec().into() });
        }
    }
}

impl Machine for Gossip {
    type Event = GossipEvent;

    fn receive(&mut self, from: NodeId, message: &[u8], now: Timestamp) -> Result<(), MessageError> {
        let taken = self.take_frame(from, message, now);
        self.flush();
        taken
    }

    fn connected(&mut self, peer: NodeId, _: Timestamp) {
        let is_ignored = self.scores.score(&peer) < IGNORED;
        self.peers.insert(peer, Peer { is_ignored, ..Peer::default() });
        if !self.topics.is_empty() {
            let subscriptions = self.subscriptions();
            self.frame(peer).subscriptions = Some(subscriptions);
            self.flush();
        }
    }

    fn disconnected(&mut self, peer: NodeId, _: Timestamp) {
        self.peers.remove(&peer);
        for joined in self.topics.values_mut() {
            joined.remove(&peer);
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        Some(self.next_beat)
    }

    fn wake(&mut self, now: Timestamp) {
        if now >= self.next_beat {
            self.next_beat = now + BEAT;
            self.beat += 1;
            self.heartbeat(now);
            self.flush();
        }
    }

    fn poll(&mut self) -> Option<Effect<GossipEvent>> {
        self.effects.pop_front()
    }
}
