//! Networks of nodes that find each other, in virtual time.

mod hostile;
mod lookups;
mod names;
mod providers;

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock};

use daa_core::clock::Timestamp;
use daa_core::seed::Seed;
use daa_crypto::CryptoSuite;

use super::key::Key;
use super::testing::{HOUR, address, identity, issue, network, record};
use super::{Discovery, DiscoveryOptions, Event, Found, K, LookupId};
use crate::identity::NodeIdentity;
use crate::machine::{Effect, Machine, MessageError};
use crate::node_id::NodeId;
use crate::record::{BookOptions, NodeRecord, Service, SignedRecord};
use crate::simulation::{Link, Simulation, Skew};

use hostile::Hostile;

/// Who takes part.
pub(super) enum Peer {
    Honest(Box<Discovery>),
    Hostile(Hostile),
}

impl Machine for Peer {
    type Event = Event;

    fn receive(&mut self, from: NodeId, message: &[u8], now: Timestamp) -> Result<(), MessageError> {
        match self {
            Self::Honest(machine) => machine.receive(from, message, now),
            Self::Hostile(machine) => {
                machine.receive(from, message);
                Ok(())
            }
        }
    }

    fn connected(&mut self, peer: NodeId, now: Timestamp) {
        if let Self::Honest(machine) = self {
            machine.connected(peer, now);
        }
    }

    fn disconnected(&mut self, peer: NodeId, now: Timestamp) {
        if let Self::Honest(machine) = self {
            machine.disconnected(peer, now);
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        match self {
            Self::Honest(machine) => machine.next_wake(),
            Self::Hostile(machine) => machine.next_wake(),
        }
    }

    fn wake(&mut self, now: Timestamp) {
        match self {
            Self::Honest(machine) => machine.wake(now),
            Self::Hostile(machine) => machine.wake(now),
        }
    }

    fn poll(&mut self) -> Option<Effect<Event>> {
        match self {
            Self::Honest(machine) => machine.poll(),
            Self::Hostile(machine) => machine.poll(),
        }
    }
}

impl Peer {
    fn honest(&mut self) -> &mut Discovery {
        match self {
            Self::Honest(machine) => machine,
            Self::Hostile(_) => panic!("it is hostile"),
        }
    }
}

/// The node with this number: its key is made once.
pub(super) fn person(number: usize) -> NodeIdentity {
    static PEOPLE: OnceLock<Mutex<Vec<NodeIdentity>>> = OnceLock::new();
    let mut people = PEOPLE.get_or_init(Mutex::default).lock().unwrap();
    while people.len() <= number {
        let next = identity(10_000 + people.len() as u64);
        people.push(next);
    }
    people[number].clone()
}

pub(super) fn machine(of: NodeId, options: DiscoveryOptions, seed: u64) -> Discovery {
    let seed = Seed::from_u64(seed).child(&of.to_string());
    let book = BookOptions::default().with_records(1_000);
    Discovery::new(CryptoSuite::new(), network(), of, options, book, seed)
}

/// A network of honest nodes that have found each other, each in a subnet of its own.
pub(super) struct Net {
    pub(super) sim: Simulation<Peer>,
    pub(super) nodes: Vec<NodeId>,
}

impl Net {
    pub(super) fn new(seed: u64, count: usize, link: Link, options: DiscoveryOptions) -> Self {
        let sim = Simulation::new(seed).with_link(link);
        let mut net = Self { sim, nodes: Vec::new() };
        for number in 0..count {
            let first = net.nodes.first().copied();
            net.add(number, record(1), options, first, seed);
            // They come one after the other.
            net.sim.run_for(200);
        }
        net.sim.run_for(60_000);
        net.sim.take_told();
        net
    }

    pub(super) fn add(
        &mut self,
        number: usize,
        record: NodeRecord,
        options: DiscoveryOptions,
        knows: Option<NodeId>,
        seed: u64,
    ) -> NodeId {
        let person = person(number);
        let own = issue(record.with_address(address(number as u32)), &person);
        let node = person.node();
        let peer = Peer::Honest(Box::new(machine(node, options, seed)));
        self.sim.add(node, peer, Skew::default());
        self.sim.with(node, |peer, now| {
            peer.honest().set_own(own, now);
            peer.honest().bootstrap(knows, now);
        });
        self.nodes.push(node);
        node
    }

    /// Those that run and are nearest to a place, without one.
    pub(super) fn truth(&self, target: NodeId, without: NodeId) -> Vec<NodeId> {
        let up = |node: &&NodeId| self.sim.is_up(**node) && **node != without;
        let mut nodes: Vec<_> = self.nodes.iter().filter(up).copied().collect();
        nodes.sort_by_key(|node| Key::from(*node).distance(&target.into()));
        nodes.truncate(K);
        nodes
    }

    pub(super) fn honest<R>(&mut self, node: NodeId, act: impl FnOnce(&mut Discovery, Timestamp) -> R) -> R {
        self.sim.with(node, |peer, now| act(peer.honest(), now))
    }

    /// Waits for the end of a lookup; what it found, and after how many milliseconds.
    pub(super) fn wait(&mut self, node: NodeId, lookup: LookupId) -> (Found, u64) {
        let begin = self.sim.now();
        for _ in 0..2_000 {
            self.sim.run_for(10);
            for told in self.sim.take_told() {
                match told.event {
                    Event::Found { lookup: id, found } if id == lookup && told.node == node => {
                        return (found, told.at - begin);
                    }
                    _ => {}
                }
            }
        }
        panic!("a lookup without end")
    }

    pub(super) fn find_node(&mut self, by: NodeId, target: NodeId) -> (Vec<NodeId>, u64) {
        let lookup = self.honest(by, |machine, now| machine.find_node(target, now)).unwrap();
        match self.wait(by, lookup) {
            (Found::Nodes(nodes), after) => (nodes.iter().map(SignedRecord::node).collect(), after),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn find_providers(&mut self, by: NodeId, service: &Service) -> (BTreeSet<NodeId>, u64) {
        let lookup = self.honest(by, |machine, now| machine.find_providers(service.clone(), now)).unwrap();
        match self.wait(by, lookup) {
            (Found::Providers(all), after) => (all.iter().map(super::ProviderRecord::node).collect(), after),
            other => panic!("{other:?}"),
        }
    }
}

/// A place that nobody chose.
pub(super) fn place(seed: u64, turn: u64) -> NodeId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&turn.to_le_bytes());
    NodeId::from_bytes(*hasher.finalize().as_bytes())
}
