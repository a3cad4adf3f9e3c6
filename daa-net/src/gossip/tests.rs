//! Gossip in simulations.

mod chaos;
mod delivery;
mod hostile;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_core::seed::Seed;
use daa_crypto::CryptoSuite;
use rand::RngExt as _;

use super::{Gossip, GossipEvent, GossipOptions, MessageId, SignedMessage, Topic, Validation, Verdict};
use crate::node_id::NodeId;
use crate::simulation::{Link, Simulation, Skew};
use crate::testing::{BEGIN, identity, identity_of, network, node, nodes, ready};

type World = Simulation<Gossip>;

fn topic() -> Topic {
    "topic".parse().unwrap()
}

fn options() -> GossipOptions {
    GossipOptions::default().with_max_payload(16 << 10)
}

/// A machine that takes part in the topic.
fn machine(of: usize, seed: u64, now: Timestamp, validation: Validation) -> Gossip {
    let (key, seed) = (identity(of).key().clone(), Seed::from_u64(seed).nth(of as u64).nth(now.as_millis()));
    let mut machine = Gossip::new(options(), CryptoSuite::new(), network(), key, seed, now);
    machine.subscribe(topic(), validation, now).unwrap();
    machine
}

/// So many nodes; each is connected to this many others, at random, and to the next one.
fn world(seed: u64, count: usize, degree: usize, link: Link) -> World {
    let mut world = Simulation::new(seed).with_link(link);
    for of in 0..count {
        world.add(node(of), machine(of, seed, BEGIN, Validation::Signature), Skew::default());
    }
    let mut rng = Seed::from_u64(seed).child("graph").rng();
    for of in 0..count {
        world.connect(node(of), node((of + 1) % count));
        for _ in 0..degree / 2 {
            let other = rng.random_range(0..count);
            if other != of {
                world.connect(node(of), node(other));
            }
        }
    }
    world
}

fn sign(of: usize, text: &str, number: u64, now: Timestamp) -> SignedMessage {
    let payload = Bytes::copy_from_slice(text.as_bytes());
    ready(SignedMessage::sign(identity(of), &network(), topic(), payload, number, now)).unwrap()
}

/// Publishes a message of a node, by its clock.
fn publish(world: &mut World, of: NodeId, number: u64) -> MessageId {
    let now = world.clock(of);
    let payload = Bytes::copy_from_slice(&number.to_le_bytes());
    let signed =
        ready(SignedMessage::sign(identity_of(of), &network(), topic(), payload, number, now)).unwrap();
    world.with(of, |machine, now| machine.publish(signed, now)).unwrap()
}

/// When each node was told of each message.
fn deliveries(world: &World) -> BTreeMap<(MessageId, NodeId), Vec<u64>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for told in world.told() {
        if let GossipEvent::Message { id, .. } = &told.event {
            all.entry((*id, told.node)).or_default().push(told.at);
        }
    }
    all
}

fn misbehaved(world: &World) -> BTreeSet<NodeId> {
    let is = |event: &GossipEvent| match event {
        GossipEvent::Misbehaved(peer) => Some(*peer),
        GossipEvent::Message { .. } => None,
    };
    world.told().iter().filter_map(|told| is(&told.event)).collect()
}

fn mesh(machine: &Gossip) -> usize {
    machine.topics[&topic()].mesh.len()
}
