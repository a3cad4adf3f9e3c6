//! Many machines in virtual time, over links that lose, delay, double and reorder: everything follows from one seed.
//!
//! ```ignore
//! let mut simulation = Simulation::new(seed).with_link(Link::rtt(50).with_drop(20));
//! simulation.add(node, machine, Skew::default());
//! simulation.with(node, |machine, now| machine.join(seeds, now));
//! simulation.partition(&[&left, &right]);
//! simulation.run_for(60_000);
//! simulation.heal();
//! assert!(simulation.run_until(300_000, |simulation| simulation.machines().all(|(_, machine)| machine.is_whole())));
//! ```
//!
//! - [`Simulation::react`] stands for the rest of the node: it sees what a machine tells, and may answer at once (sign,
//!   validate).
//! - A puppet ([`Simulation::add_puppet`]) is a hostile node: [`Simulation::send_as`] says anything in its name, and what is sent to
//!   it waits in [`Simulation::take_inbox`].
//! - [`Simulation::crash`] gives the machine back, so that what is durable can be taken along to [`Simulation::restart`].
//! - [`Chaos`] makes a plan of partitions and crashes from a seed.
//! - [`for_each_seed`] runs a property, as often as `DAA_NET_SEEDS` says, or for the one seed of `DAA_NET_SEED`.

mod chaos;
mod host;
mod link;
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_core::seed::{Rng, Seed};

use crate::machine::{Effect, Machine};
use crate::node_id::NodeId;

pub(crate) use chaos::{Chaos, Fault};
pub(crate) use host::Skew;
pub(crate) use link::Link;

use host::Host;
use link::Links;

/// The most that one machine may do in one millisecond: more is a loop.
const BUSY: u32 = 20_000;

/// Runs a property for seeds 0, 1, 2, …: `default` of them, or as many as `DAA_NET_SEEDS` says. The seed of a failure is printed;
/// `DAA_NET_SEED` runs it alone.
pub(crate) fn for_each_seed(default: u64, property: impl Fn(u64)) {
    struct Told(u64);
    impl Drop for Told {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("it fails with DAA_NET_SEED={}", self.0);
            }
        }
    }
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("DAA_NET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DAA_NET_SEEDS").unwrap_or(default),
    };
    for seed in seeds {
        let _told = Told(seed);
        property(seed);
    }
}

type Script<M> = Box<dyn FnOnce(&mut Simulation<M>)>;
type React<M> = Box<dyn FnMut(NodeId, &mut M, &<M as Machine>::Event, Timestamp)>;

/// What a node told.
#[derive(Clone, Debug)]
pub(crate) struct Told<E> {
    /// In milliseconds of the simulation.
    pub(crate) at: u64,
    pub(crate) node: NodeId,
    pub(crate) event: E,
}

/// What was refused, and sent, by a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Messages of others that its machine did not take.
    pub(crate) refused: u64,
}

enum Happening<M: Machine> {
    Deliver {
        from: NodeId,
        to: NodeId,
        life: u64,
        message: Bytes,
    },
    Connected {
        node: NodeId,
        peer: NodeId,
        connection: u64,
    },
    Disconnected {
        node: NodeId,
        peer: NodeId,
    },
    /// A connection has been silent for too long.
    Silent {
        ends: (NodeId, NodeId),
        connection: u64,
    },
    Wake {
        node: NodeId,
        life: u64,
    },
    Script(Script<M>),
}

/// Machines in virtual time. The unit is the millisecond.
pub(crate) struct Simulation<M: Machine> {
    now: u64,
    rng: Rng,
    queue: BTreeMap<(u64, u64), Happening<M>>,
    order: u64,
    hosts: BTreeMap<NodeId, Host<M>>,
    links: Links,
    told: Vec<Told<M::Event>>,
    react: React<M>,
    trace: blake3::Hasher,
}

impl<M: Machine> Simulation<M>
where
    M::Event: std::fmt::Debug,
{
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: 0,
            rng: Seed::from_u64(seed).child("simulation").rng(),
            queue: BTreeMap::new(),
            order: 0,
            hosts: BTreeMap::new(),
            links: Links::default(),
            told: Vec::new(),
            react: Box::new(|_, _, _, _| ()),
            trace: blake3::Hasher::new(),
        }
    }

    /// All links that are not set one by one.
    pub(crate) fn with_link(mut self, link: Link) -> Self {
        self.set_link(link);
        self
    }

    /// The rest of each node: what a machine tells goes there, before it is kept.
    pub(crate) fn react(mut self, react: impl FnMut(NodeId, &mut M, &M::Event, Timestamp) + 'static) -> Self {
        self.react = Box::new(react);
        self
    }

    /// From now on, for what is sent from now on.
    pub(crate) fn set_link(&mut self, link: Link) {
        self.links.default = link;
    }

    /// The link of these two, both ways.
    pub(crate) fn set_link_between(&mut self, one: NodeId, other: NodeId, link: Link) {
        self.links.set(one, other, link);
    }

    // Nodes.

    pub(crate) fn add(&mut self, node: NodeId, machine: M, skew: Skew) {
        assert!(self.hosts.insert(node, Host::new(Some(machine), skew)).is_none(), "two of {node}");
        self.settle(node);
    }

    /// A hostile node: it has no machine.
    pub(crate) fn add_puppet(&mut self, node: NodeId) {
        assert!(self.hosts.insert(node, Host::puppet()).is_none(), "two of {node}");
    }

    /// Whatever it says.
    pub(crate) fn send_as(&mut self, puppet: NodeId, to: NodeId, message: impl Into<Bytes>) {
        assert!(self.hosts[&puppet].is_puppet(), "{puppet} has a machine");
        self.send(puppet, to, message.into());
    }

    /// What was sent to a puppet since it was last asked, and by whom.
    pub(crate) fn take_inbox(&mut self, puppet: NodeId) -> Vec<(NodeId, Bytes)> {
        std::mem::take(&mut self.hosts.get_mut(&puppet).expect("known").inbox)
    }

    /// The node is gone at once, with all its connections; its peers notice a little later.
    pub(crate) fn crash(&mut self, node: NodeId) -> M {
        let host = self.hosts.get_mut(&node).expect("known");
        host.life += 1;
        host.wake = None;
        let machine = host.machine.take().expect("it runs");
        for peer in self.links.drop_all(node) {
            let at = self.now + self.links.delay(node, peer, &mut self.rng);
            self.push(at, Happening::Disconnected { node: peer, peer: node });
        }
        machine
    }

    pub(crate) fn restart(&mut self, node: NodeId, machine: M) {
        let host = self.hosts.get_mut(&node).expect("known");
        assert!(host.machine.replace(machine).is_none(), "{node} runs");
        self.settle(node);
    }

    /// Another clock, for a node that does not run.
    pub(crate) fn set_skew(&mut self, node: NodeId, skew: Skew) {
        let host = self.hosts.get_mut(&node).expect("known");
        assert!(!host.is_up(), "{node} runs");
        host.skew = skew;
    }

    pub(crate) fn is_up(&self, node: NodeId) -> bool {
        self.hosts[&node].is_up()
    }

    /// The nodes that run, puppets left out.
    pub(crate) fn machines(&self) -> impl Iterator<Item = (NodeId, &M)> {
        self.hosts.iter().filter_map(|(node, host)| Some((*node, host.machine.as_ref()?)))
    }

    pub(crate) fn machine(&self, node: NodeId) -> &M {
        self.hosts[&node].machine.as_ref().expect("it runs")
    }

    /// Does something with a machine, and all that it then wants.
    pub(crate) fn with<R>(&mut self, node: NodeId, act: impl FnOnce(&mut M, Timestamp) -> R) -> R {
        let host = self.hosts.get_mut(&node).expect("known");
        let now = host.skew.local(self.now);
        let result = act(host.machine.as_mut().expect("it runs"), now);
        self.settle(node);
        result
    }

    /// What the clock of this node shows.
    pub(crate) fn clock(&self, node: NodeId) -> Timestamp {
        self.hosts[&node].skew.local(self.now)
    }

    // The network.

    /// Only those of one group reach each other; who is in none is alone.
    pub(crate) fn partition(&mut self, groups: &[&[NodeId]]) {
        self.links.partition(groups);
        for (ends, connection) in self.links.cut() {
            self.push(self.now + self.links.default.silence, Happening::Silent { ends, connection });
        }
    }

    pub(crate) fn heal(&mut self) {
        self.links.heal();
    }

    /// Connects two nodes at once, if they run, reach each other, and are not connected.
    pub(crate) fn connect(&mut self, one: NodeId, other: NodeId) {
        let is_up = self.hosts[&one].is_up() && self.hosts[&other].is_up();
        if is_up && self.links.reach(one, other) && self.links.connection(one, other).is_none() {
            self.connected(one, other, self.now);
        }
    }

    // Time.

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Does something in so many milliseconds.
    pub(crate) fn after(&mut self, millis: u64, script: impl FnOnce(&mut Self) + 'static) {
        self.push(self.now + millis, Happening::Script(Box::new(script)));
    }

    /// So many milliseconds.
    pub(crate) fn run_for(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some((&(at, _), _)) = self.queue.first_key_value()
            && at <= end
        {
            self.step();
        }
        self.now = end;
    }

    /// Until it holds, looked at each 100 ms, or so many milliseconds have passed; whether it holds.
    pub(crate) fn run_until(&mut self, millis: u64, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + millis;
        while !holds(self) {
            if self.now >= end {
                return false;
            }
            self.run_for(100.min(end - self.now));
        }
        true
    }

    // What came of it.

    /// All that was told, in the order of time.
    pub(crate) fn told(&self) -> &[Told<M::Event>] {
        &self.told
    }

    pub(crate) fn take_told(&mut self) -> Vec<Told<M::Event>> {
        std::mem::take(&mut self.told)
    }

    pub(crate) fn traffic(&self, node: NodeId) -> Traffic {
        self.hosts[&node].traffic
    }

    /// The hash of all that has happened: the same for the same seed.
    pub(crate) fn trace(&self) -> blake3::Hash {
        self.trace.finalize()
    }

    fn push(&mut self, at: u64, happening: Happening<M>) {
        self.order += 1;
        self.queue.insert((at, self.order), happening);
    }

    fn step(&mut self) {
        let Some(((at, _), happening)) = self.queue.pop_first() else { return };
        self.now = at;
        match happening {
            Happening::Script(script) => script(self),
            Happening::Wake { node, life } => self.wake(node, life),
            Happening::Deliver { from, to, life, message } => self.deliver(from, to, life, message),
            Happening::Connected { node, peer, connection } => {
                if self.links.connection(node, peer) == Some(connection) {
                    self.note("connected", node, peer.as_bytes());
                    self.tell(node, |machine, now| machine.connected(peer, now));
                }
            }
            Happening::Disconnected { node, peer } => {
                if self.links.connection(node, peer).is_none() {
                    self.note("disconnected", node, peer.as_bytes());
                    self.tell(node, |machine, now| machine.disconnected(peer, now));
                }
            }
            Happening::Silent { ends: (one, other), connection } => {
                if self.links.connection(one, other) == Some(connection) && !self.links.reach(one, other) {
                    self.links.disconnect(one, other);
                    self.push(self.now, Happening::Disconnected { node: one, peer: other });
                    self.push(self.now, Happening::Disconnected { node: other, peer: one });
                }
            }
        }
    }

    fn note(&mut self, what: &str, node: NodeId, more: &[u8]) {
        self.trace.update(&self.now.to_le_bytes()).update(what.as_bytes()).update(node.as_bytes());
        self.trace.update(&(more.len() as u64).to_le_bytes()).update(more);
    }

    fn tell(&mut self, node: NodeId, act: impl FnOnce(&mut M, Timestamp)) {
        if self.hosts[&node].machine.is_some() {
            self.with(node, act);
        }
    }

    fn wake(&mut self, node: NodeId, life: u64) {
        let host = self.hosts.get_mut(&node).expect("known");
        if host.life == life && host.wake == Some(self.now) {
            host.wake = None;
            self.tell(node, |machine, now| machine.wake(now));
        }
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, life: u64, message: Bytes) {
        if !self.links.reach(from, to) || self.hosts[&to].life != life {
            return;
        }
        self.note("message", to, from.as_bytes());
        self.trace.update(&message);
        let host = self.hosts.get_mut(&to).expect("known");
        if host.is_puppet() {
            host.inbox.push((from, message));
            return;
        }
        if host.machine.is_some()
            && self.with(to, |machine, now| machine.receive(from, &message, now)).is_err()
        {
            self.hosts.get_mut(&to).expect("known").traffic.refused += 1;
        }
    }

    /// Does what a machine wants, and sees when it wants to be woken.
    fn settle(&mut self, node: NodeId) {
        loop {
            let host = self.hosts.get_mut(&node).expect("known");
            host.count(self.now);
            let Some(machine) = &mut host.machine else { return };
            match machine.poll() {
                None => break,
                Some(Effect::Send { to, message }) => self.send(node, to, message),
                Some(Effect::Tell(event)) => {
                    let now = host.skew.local(self.now);
                    (self.react)(node, machine, &event, now);
                    self.note("told", node, format!("{event:?}").as_bytes());
                    self.told.push(Told { at: self.now, node, event });
                }
            }
        }
        let host = self.hosts.get_mut(&node).expect("known");
        let Some(wanted) = host.machine.as_ref().and_then(Machine::next_wake) else { return };
        let at = host.skew.global(wanted).max(self.now);
        if host.wake.is_none_or(|wake| at < wake) {
            host.wake = Some(at);
            let life = host.life;
            self.push(at, Happening::Wake { node, life });
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Bytes) {
        let traffic = &mut self.hosts.get_mut(&from).expect("known").traffic;
        traffic.messages += 1;
        traffic.bytes += message.len() as u64;
        let is_there = self.links.reach(from, to) && self.hosts.get(&to).is_some_and(Host::is_up);
        let ready = match self.links.ready(from, to) {
            Some(ready) => ready,
            None if is_there => {
                // The handshake: a round trip.
                let ready = self.now + 2 * self.links.delay(from, to, &mut self.rng);
                self.connected(from, to, ready);
                ready
            }
            None => {
                let at = self.now + self.links.default.silence;
                return self.push(at, Happening::Disconnected { node: from, peer: to });
            }
        };
        if from == to || !is_there {
            return;
        }
        let life = self.hosts[&to].life;
        for at in self.links.arrivals(from, to, ready.max(self.now), &mut self.rng) {
            self.push(at, Happening::Deliver { from, to, life, message: message.clone() });
        }
    }

    fn connected(&mut self, one: NodeId, other: NodeId, ready: u64) {
        let connection = self.links.connect(one, other, ready);
        self.push(ready, Happening::Connected { node: one, peer: other, connection });
        self.push(ready, Happening::Connected { node: other, peer: one, connection });
    }
}
