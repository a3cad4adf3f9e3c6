//! Who a node keeps connections to: leaves to hubs, hubs to each other, by what was measured.
//!
//! Tiers and roles come from signed records. How far a node is, this node measures itself; how busy it is, the node says, and is believed within
//! bounds: nobody counts as less busy than half of what is usual, as nearer than 5 ms, or as ten times as far because of its load. A leaf is
//! at several hubs, so that one that lies is not the end of it.

mod choice;
mod homing;
mod leaves;
mod options;
mod peer;
mod shape;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::seed::{Rng, Seed};
use rand_core::Rng as _;

use crate::chance::share;
use crate::machine::{Effect, Machine, MessageError};
use crate::node_id::NodeId;
use crate::quota::{Quotas, Rate};
use crate::record::{Role, Tier};

pub use choice::Topology;
pub use options::TopologyOptions;
pub use peer::Load;

use choice::{Chooser, Measured};
use homing::Homes;
use leaves::Leaves;
use peer::{Peer, median};
use shape::Others;
use wire::Message;

/// The most nodes that are thought of. Of those beyond, hubs take the places of leaves.
const MAX_PEERS: usize = 4_096;
/// What a peer may ask at once, and in a second.
const BURST: u64 = 100;
const PER_SECOND: u64 = 40;
/// So many neighbours are measured at a time, and so many hubs that are none.
const MEASURED: usize = 8;
const SAMPLED: usize = 2;
/// What is assumed where nothing was measured.
const UNKNOWN: Duration = Duration::from_millis(200);
/// Who is as busy as this takes no new leaves, in thousandths.
const NO_TIME: u16 = 950;
/// After so long a change of who is there is acted upon, together with all others until then.
const GATHER: Duration = Duration::from_millis(200);

/// What becomes of the neighbours of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopologyEvent {
    /// This node keeps to that one from now on.
    Neighbour(NodeId),
    /// It does so no more.
    NotNeighbour(NodeId),
    /// It is at home at another hub now.
    Rehomed {
        /// Which it has left, or lost.
        from: NodeId,
        /// Which it has instead.
        to: NodeId,
    },
    /// Another topology is better, or the only possible one. At the beginning it is a mesh.
    Chosen(Topology),
}

/// Who a node keeps to.
#[derive(Debug)]
pub(crate) struct Neighbourhood {
    options: TopologyOptions,
    me: NodeId,
    tier: Tier,
    roles: BTreeSet<Role>,
    busy: Load,
    peers: BTreeMap<NodeId, Peer>,
    neighbours: BTreeSet<NodeId>,
    homes: Homes,
    leaves: Leaves,
    chooser: Chooser,
    quotas: Quotas,
    next_tick: Timestamp,
    /// When what has changed is acted upon.
    changed: Option<Timestamp>,
    /// Who was measured last, of hubs, of all and of neighbours.
    cursors: [NodeId; 3],
    rng: Rng,
    effects: VecDeque<Effect<TopologyEvent>>,
}

impl Neighbourhood {
    /// The neighbourhood of a node of this tier and with these roles.
    pub(crate) fn new(
        options: TopologyOptions,
        (me, tier, roles): (NodeId, Tier, BTreeSet<Role>),
        seed: Seed,
        now: Timestamp,
    ) -> Self {
        let mut rng = seed.rng();
        let first = now + options.interval.mul_f64(share(&mut rng));
        Self {
            options,
            me,
            tier,
            roles,
            busy: Load::default(),
            peers: BTreeMap::new(),
            neighbours: BTreeSet::new(),
            homes: Homes::new(now),
            leaves: Leaves::new(options.capacity, options.interval * 4),
            chooser: Chooser::new(&options),
            quotas: Quotas::new(Rate::per_second(PER_SECOND, BURST)),
            next_tick: first,
            changed: None,
            cursors: [me; 3],
            rng,
            effects: VecDeque::new(),
        }
    }

    /// A member is there, and says this of itself.
    pub(crate) fn set_member(&mut self, node: NodeId, tier: Tier, roles: BTreeSet<Role>, now: Timestamp) {
        if node == self.me {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&node) {
            if (peer.tier, &peer.roles) == (tier, &roles) {
                return;
            }
            (peer.tier, peer.roles) = (tier, roles);
        } else if self.make_room(tier) {
            self.peers.insert(node, Peer::new(tier, roles));
        }
        self.changes(now);
    }

    /// A member is gone.
    pub(crate) fn remove_member(&mut self, node: &NodeId, now: Timestamp) {
        if self.peers.remove(node).is_some() {
            self.leaves.leave(node);
            self.lose(*node, now);
            self.changes(now);
        }
    }

    /// How busy this node is with all that it does. Others keep away accordingly.
    pub(crate) fn set_load(&mut self, load: Load) {
        self.busy = load;
    }

    /// Whom this node keeps to.
    pub(crate) fn neighbours(&self) -> &BTreeSet<NodeId> {
        &self.neighbours
    }

    #[cfg(test)]
    pub(crate) fn topology(&self) -> Topology {
        self.chooser.present()
    }

    fn make_room(&mut self, tier: Tier) -> bool {
        if self.peers.len() < MAX_PEERS {
            return true;
        }
        let leaf = self.peers.iter().find(|(_, peer)| peer.tier == Tier::Leaf).map(|(node, _)| *node);
        let leaf = leaf.filter(|_| tier != Tier::Leaf);
        leaf.is_some_and(|leaf| self.peers.remove(&leaf).is_some())
    }

    fn tell(&mut self, event: TopologyEvent) {
        self.effects.push_back(Effect::Tell(event));
    }

    fn send(&mut self, to: NodeId, message: Message) {
        self.effects.push_back(Effect::Send { to, message: message.encode() });
    }

    fn ping(&mut self, to: NodeId, now: Timestamp) {
        let number = self.rng.next_u64();
        let home = self.homes.is_watched(&to);
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.asked(number, now);
            self.send(to, Message::Ping { number, home });
        }
    }

    fn changes(&mut self, now: Timestamp) {
        let soon = now + GATHER.mul_f64(share(&mut self.rng));
        self.changed = Some(self.changed.map_or(soon, |at| at.min(soon)));
    }

    /// Who is there and answers.
    fn others(&self) -> Others {
        let there = self.peers.iter().filter(|(_, peer)| !peer.is_silent());
        there.map(|(node, peer)| (*node, peer.tier)).collect()
    }

    /// Nobody is believed to be less busy: half of what hubs say.
    fn floor(&self) -> Load {
        let loads = self.hubs().filter_map(|(_, peer)| peer.load()).collect();
        Load::per_mille(median::<Load>(loads).unwrap_or_default().as_per_mille() / 2)
    }

    fn hubs(&self) -> impl Iterator<Item = (&NodeId, &Peer)> {
        self.peers.iter().filter(|(_, peer)| peer.tier != Tier::Leaf && !peer.is_silent())
    }

    fn measured(&self) -> Measured {
        let there = || self.peers.values().filter(|peer| !peer.is_silent());
        let direct = median(there().filter_map(Peer::latency).collect()).unwrap_or(UNKNOWN);
        let hubs = || self.hubs().map(|(_, peer)| peer);
        Measured {
            nodes: there().count() + 1,
            hubs: hubs().count() + usize::from(self.tier != Tier::Leaf),
            direct,
            to_hub: median(hubs().filter_map(Peer::latency).collect()).unwrap_or(direct),
            busy: median(hubs().filter_map(Peer::busy).collect()).unwrap_or_default(),
        }
    }

    /// Says who is a neighbour, and who is not any more.
    fn refresh(&mut self, now: Timestamp) {
        self.changed = None;
        self.give_homes_up();
        let floor = self.floor();
        let cost = |node: &NodeId| {
            let cost = self.peers.get(node).map_or(Duration::MAX, |peer| peer.cost(floor));
            // Who is a neighbour stays one, unless another is much nearer.
            if self.neighbours.contains(node) { cost * 7 / 10 } else { cost }
        };
        let topology = self.chooser.present();
        let mut wanted =
            shape::neighbours(topology, (self.me, self.tier), &self.others(), cost, &self.options);
        wanted.extend(self.homes.all().chain(self.leaves.all()));
        let before = std::mem::replace(&mut self.neighbours, wanted.clone());
        for node in before.difference(&wanted) {
            self.tell(TopologyEvent::NotNeighbour(*node));
        }
        for node in wanted.difference(&before) {
            self.tell(TopologyEvent::Neighbour(*node));
        }
        self.seek_when_due(now);
    }

    fn tick(&mut self, now: Timestamp) {
        self.next_tick = now + self.options.interval.mul_f64(0.75 + share(&mut self.rng) / 2.0);
        self.quotas.forget(now);
        self.leaves.expire(now);
        if self.chooser.consider(&self.measured(), &self.options) {
            self.tell(TopologyEvent::Chosen(self.chooser.present()));
        }
        self.refresh(now);
        self.improve(now);
        self.measure(now);
    }

    /// Pings its hubs, some of the neighbours, and some others, in turn.
    fn measure(&mut self, now: Timestamp) {
        let homes: Vec<_> = self.homes.all().collect();
        let leaves: BTreeSet<_> = self.leaves.all().collect();
        let is_new = self.peers.values().all(|peer| !peer.is_measured());
        let samples = if is_new { MEASURED } else { SAMPLED };
        let hubs = self.peers.iter().filter(|(_, peer)| peer.tier != Tier::Leaf).map(|(node, _)| *node);
        let pools: [(BTreeSet<NodeId>, usize); 3] = [
            (hubs.collect(), samples),
            (self.peers.keys().copied().collect(), 1),
            (self.neighbours.difference(&leaves).copied().collect(), MEASURED),
        ];
        let mut chosen: BTreeSet<NodeId> = homes.into_iter().collect();
        for (cursor, (pool, count)) in self.cursors.iter_mut().zip(pools) {
            let above = pool.iter().filter(|node| **node > *cursor);
            let turn: Vec<_> =
                above.chain(pool.iter().filter(|node| **node <= *cursor)).take(count).collect();
            if let Some(last) = turn.last() {
                *cursor = **last;
            }
            chosen.extend(turn);
        }
        for node in chosen {
            // Of whom an answer is awaited at home, homing takes care.
            if !self.homes.is_asked(&node) {
                self.ping(node, now);
            }
        }
    }

    fn ponged(&mut self, from: NodeId, number: u64, told: (Load, Load), home: bool, now: Timestamp) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let was_silent = peer.is_silent();
        if peer.answered(number, told, now) {
            self.answered_home(from, home, now);
            if was_silent {
                self.changes(now);
            }
        } else if home && !self.homes.is_watched(&from) {
            self.send(from, Message::Leave);
        }
    }
}

impl Machine for Neighbourhood {
    type Event = TopologyEvent;

    fn receive(&mut self, from: NodeId, message: &[u8], now: Timestamp) -> Result<(), MessageError> {
        if from == self.me {
            return Ok(());
        }
        self.quotas.take(from, 1, now)?;
        match Message::decode(message)? {
            Message::Ping { number, home } => {
                // Only members, and only of lower tiers, find a home here.
                let may = home && self.peers.get(&from).is_some_and(|peer| peer.tier < self.tier);
                let has_time = self.busy.as_per_mille() < NO_TIME;
                let is_home = may && self.leaves.admit(from, has_time, now);
                if is_home && !self.neighbours.contains(&from) {
                    self.changes(now);
                }
                let (busy, taken) = (self.busy, self.leaves.taken());
                self.send(from, Message::Pong { number, busy, taken, home: is_home });
            }
            Message::Pong { number, busy, taken, home } => {
                self.ponged(from, number, (busy, taken), home, now);
            }
            Message::Leave => {
                self.leaves.leave(&from);
                self.changes(now);
            }
        }
        Ok(())
    }

    fn disconnected(&mut self, peer: NodeId, now: Timestamp) {
        self.missed(peer, now);
    }

    fn next_wake(&self) -> Option<Timestamp> {
        [Some(self.next_tick), self.changed, self.next_homing()].into_iter().flatten().min()
    }

    fn wake(&mut self, now: Timestamp) {
        self.watch(now);
        if now >= self.next_tick {
            self.tick(now);
        } else if self.changed.is_some_and(|at| at <= now) {
            self.refresh(now);
        } else {
            self.seek_when_due(now);
        }
    }

    fn poll(&mut self) -> Option<Effect<TopologyEvent>> {
        self.effects.pop_front()
    }
}
