//! What the machines of a node want done.

use bytes::Bytes;
use daa_core::clock::Timestamp;
use futures_util::{FutureExt as _, StreamExt as _};

use super::control::Part;
use super::outbox::Outbox;
use super::run::Task;
use super::topics::Heard;
use super::{NodeEvent, locked};
use crate::discovery::{Event, Found, ProviderRecord};
use crate::gossip::GossipEvent;
use crate::machine::{Effect, Machine};
use crate::membership::{MembershipEvent, Output};
use crate::node_id::NodeId;
use crate::record::SignedRecord;
use crate::topology::TopologyEvent;

impl Task {
    /// What discovery tells.
    fn found(&mut self, event: Event) {
        match event {
            Event::Found { lookup, found } => {
                let records: Vec<&SignedRecord> = match &found {
                    Found::Nodes(nodes) => nodes.iter().collect(),
                    Found::Providers(providers) => providers.iter().map(ProviderRecord::record).collect(),
                    Found::Name(_) => Vec::new(),
                };
                for record in records {
                    self.shared.places.set(record.node(), record.record().addresses.clone());
                }
                if let Some(reply) = self.lookups.remove(&lookup) {
                    let _ = reply.send(Ok(found));
                }
            }
            Event::Stored { lookup, by } => {
                tracing::debug!(?lookup, by, "others keep something of this node")
            }
            Event::Renew => self.reissue(self.shared.clock.now()),
            Event::RenewName(name) => self.tell(NodeEvent::RenewName(name)),
            Event::Conflict(conflict) => self.tell(NodeEvent::Conflict(conflict.known.node())),
        }
    }

    /// Does what the machines want done, until they want nothing more.
    pub(super) fn work(&mut self) {
        while let Some(effect) = self.membership.poll() {
            match effect {
                Effect::Send { to, message } => self.send(to, Part::Membership.message(&message)),
                Effect::Tell(Output::Sign(statement)) => {
                    let (identity, network) = (self.shared.identity.clone(), self.shared.network.clone());
                    self.signing.push(Box::pin(async move {
                        let signed = statement.sign(&identity, &network).await;
                        signed.inspect_err(|error| tracing::warn!(%error, "this node does not sign")).ok()
                    }));
                }
                Effect::Tell(Output::Renew(version)) => {
                    if version > self.version {
                        self.version = version;
                        self.reissue(self.shared.clock.now());
                    }
                }
                Effect::Tell(Output::Event(event)) => self.member(event),
            }
        }
        while let Some(effect) = self.gossip.poll() {
            match effect {
                Effect::Send { to, message } => self.send(to, Part::Gossip.message(&message)),
                Effect::Tell(GossipEvent::Message { id, from, message }) => {
                    self.topics.hear(Heard { id, from, message });
                }
                Effect::Tell(GossipEvent::Misbehaved(node)) => self.disconnect(node),
            }
        }
        for topic in self.topics.left() {
            self.gossip.unsubscribe(&topic, self.shared.clock.now());
        }
        while let Some(effect) = self.discovery.poll() {
            match effect {
                Effect::Send { to, message } => {
                    let now = self.shared.clock.now();
                    if let Some(record) = self.discovery.record(&to, now) {
                        self.shared.places.set(to, record.record().addresses.clone());
                    }
                    self.send(to, Part::Discovery.message(&message));
                }
                Effect::Tell(event) => self.found(event),
            }
        }
        self.keep();
        // What is signed at once is handed over at once.
        while let Some(Some(signed)) = self.signing.next().now_or_never() {
            if let Some(statement) = signed {
                self.membership.signed(statement, self.shared.clock.now());
                return self.work();
            }
        }
    }

    /// Does what topology wants, and calls those who are neighbours from now on. Who is none any more stays connected: others may use it.
    fn keep(&mut self) {
        while let Some(effect) = self.neighbourhood.as_mut().and_then(Machine::poll) {
            match effect {
                Effect::Send { to, message } => self.send(to, Part::Topology.message(&message)),
                Effect::Tell(event) => {
                    tracing::debug!(?event, "the neighbourhood has changed");
                    if let Some(neighbourhood) = &self.neighbourhood {
                        locked(&self.shared.view).neighbours.clone_from(neighbourhood.neighbours());
                    }
                    if let TopologyEvent::Neighbour(node) = event {
                        self.reach(node);
                    }
                    self.tell(NodeEvent::Topology(event));
                }
            }
        }
    }

    fn reach(&self, node: NodeId) {
        if self.shared.transport.peers().contains(&node) {
            return;
        }
        let (shared, addresses) = (self.shared.clone(), self.shared.places.of(&node));
        tokio::spawn(async move {
            if let Err(error) = shared.transport.connect(Some(node), &addresses).await {
                tracing::debug!(%node, %error, "a neighbour was not reached");
            }
        });
    }

    /// Who is there goes to topology too.
    fn place(&mut self, node: NodeId, record: Option<&SignedRecord>, now: Timestamp) {
        let Some(neighbourhood) = &mut self.neighbourhood else { return };
        match record.map(SignedRecord::record) {
            Some(record) => neighbourhood.set_member(node, record.tier, record.roles.clone(), now),
            None => neighbourhood.remove_member(&node, now),
        }
    }

    fn send(&mut self, to: NodeId, message: Bytes) {
        if let Some(outbox) = self.outboxes.get(&to).filter(|outbox| outbox.is_open()) {
            return outbox.send(message);
        }
        self.outboxes.retain(|_, outbox| outbox.is_open());
        let outbox = Outbox::new(to, &self.shared, self.unreached.0.clone());
        outbox.send(message);
        self.outboxes.insert(to, outbox);
    }

    /// Something became of a member.
    fn member(&mut self, event: MembershipEvent) {
        let node = event.node();
        let now = self.shared.clock.now();
        let (member, record) = (self.membership.member(&node), self.membership.record(&node, now).cloned());
        if let Some(record) = &record {
            self.gossip.remember(record.key());
            // Those that are connected have proved that it is theirs; of others discovery asks itself.
            if self.shared.transport.peers().contains(&node) {
                self.discovery.learn(record.clone(), None, now);
            }
        }
        let is_there = member.is_some_and(|member| member.state.is_reachable());
        self.place(node, record.as_ref().filter(|_| is_there), now);
        let mut view = locked(&self.shared.view);
        match member {
            Some(member) => drop(view.members.insert(node, member)),
            None => drop(view.members.remove(&node)),
        }
        match record {
            Some(record) => {
                self.shared.places.set(node, record.record().addresses.clone());
                view.records.insert(node, record);
            }
            None => {
                self.shared.places.forget(&node);
                view.records.remove(&node);
            }
        }
        drop(view);
        self.tell(NodeEvent::Membership(event));
    }
}
