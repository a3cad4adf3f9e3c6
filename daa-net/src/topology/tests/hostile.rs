//! Hubs that lie: about their room, about who is at home with them, and about what they do for those who are.

use bytes::Bytes;
use daa_core::clock::Timestamp;
use rand::RngExt as _;

use super::*;
use crate::machine::{Effect, Machine, MessageError};

/// What a hostile hub does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// It has room for all, has nothing to do, and passes nothing on.
    Sink,
    /// It takes everybody in, and sends them away when they ask again.
    Fickle,
    /// It takes everybody in, and says nothing after that.
    Mute,
    /// It has nothing to do, and takes nobody in.
    Tease,
}

const LIES: [Lie; 4] = [Lie::Sink, Lie::Fickle, Lie::Mute, Lie::Tease];

/// A node of a simulation: one that keeps to the protocol, or a hub that lies.
enum Node {
    Honest(Box<Neighbourhood>),
    Hostile { lie: Lie, asked: BTreeMap<NodeId, u64>, says: Vec<(NodeId, Bytes)> },
}

impl Machine for Node {
    type Event = TopologyEvent;

    fn receive(&mut self, from: NodeId, message: &[u8], now: Timestamp) -> Result<(), MessageError> {
        let (lie, asked, says) = match self {
            Self::Honest(machine) => return machine.receive(from, message, now),
            Self::Hostile { lie, asked, says } => (*lie, asked, says),
        };
        let Message::Ping { number, home: wanted } = Message::decode(message)? else { return Ok(()) };
        let times = asked.entry(from).or_default();
        *times = if wanted { *times + 1 } else { 0 };
        let home = match lie {
            Lie::Sink => wanted,
            Lie::Fickle => wanted && *times % 2 == 1,
            Lie::Mute if *times > 1 => return Ok(()),
            Lie::Mute => wanted,
            Lie::Tease => false,
        };
        let (busy, taken) = (Load::default(), Load::default());
        says.push((from, Message::Pong { number, busy, taken, home }.encode()));
        Ok(())
    }

    fn disconnected(&mut self, peer: NodeId, now: Timestamp) {
        if let Self::Honest(machine) = self {
            machine.disconnected(peer, now);
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        match self {
            Self::Honest(machine) => machine.next_wake(),
            Self::Hostile { .. } => None,
        }
    }

    fn wake(&mut self, now: Timestamp) {
        if let Self::Honest(machine) = self {
            machine.wake(now);
        }
    }

    fn poll(&mut self) -> Option<Effect<TopologyEvent>> {
        match self {
            Self::Honest(machine) => machine.poll(),
            Self::Hostile { says, .. } => says.pop().map(|(to, message)| Effect::Send { to, message }),
        }
    }
}

/// A network of two regions: super nodes first, then regional hubs, then leaves. Some of the hubs lie, and are nearer to everybody than
/// any other.
struct Plan {
    supers: usize,
    hubs: usize,
    leaves: usize,
    hostile: BTreeMap<usize, Lie>,
}

impl Plan {
    fn count(&self) -> usize {
        self.supers + self.hubs + self.leaves
    }

    fn tier(&self, of: usize) -> Tier {
        match of {
            of if of < self.supers => Tier::SuperNode,
            of if of < self.supers + self.hubs => Tier::RegionalHub,
            _ => Tier::Leaf,
        }
    }

    fn honest(&self) -> impl Iterator<Item = usize> {
        (0..self.count()).filter(|of| !self.hostile.contains_key(of))
    }

    /// One of three hubs of each tier lies, each in its own way.
    fn any(seed: u64) -> Self {
        let mut rng = Seed::from_u64(seed).child("plan").rng();
        let (supers, hubs, leaves) =
            (rng.random_range(3..=4), rng.random_range(6..=9), rng.random_range(12..=24));
        let mut hostile = BTreeMap::new();
        for (from, count) in [(0, supers), (supers, hubs)] {
            while hostile.range(from..).count() < count / 3 {
                hostile.insert(from + rng.random_range(0..count), LIES[rng.random_range(0..LIES.len())]);
            }
        }
        Self { supers, hubs, leaves, hostile }
    }

    fn world(&self, seed: u64) -> Simulation<Node> {
        let mut world = Simulation::new(seed).with_link(Link::rtt(20));
        let now = Skew::default().local(world.now());
        for of in 0..self.count() {
            let machine = match self.hostile.get(&of) {
                Some(lie) => Node::Hostile { lie: *lie, asked: BTreeMap::new(), says: Vec::new() },
                None => {
                    let me = (id(of), self.tier(of), BTreeSet::new());
                    let seed = Seed::from_u64(seed).nth(of as u64);
                    let mut machine = Neighbourhood::new(options(), me, seed, now);
                    for other in (0..self.count()).filter(|other| *other != of) {
                        machine.set_member(id(other), self.tier(other), BTreeSet::new(), now);
                    }
                    Node::Honest(Box::new(machine))
                }
            };
            world.add(id(of), machine, Skew::default());
            for other in 0..of {
                let lies = self.hostile.contains_key(&of) || self.hostile.contains_key(&other);
                let is_far = of % 2 != other % 2;
                let millis = if lies {
                    4
                } else if is_far {
                    120
                } else {
                    20
                };
                world.set_link_between(id(of), id(other), Link::rtt(millis).with_drop(10));
            }
        }
        world
    }

    /// The nodes that no honest node but those like them leads to.
    fn cut_off(&self, world: &Simulation<Node>) -> BTreeSet<usize> {
        let honest: BTreeSet<_> = self.honest().collect();
        let of_id: BTreeMap<_, _> = honest.iter().map(|of| (id(*of), *of)).collect();
        let mut edges: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for of in &honest {
            let Node::Honest(machine) = world.machine(id(*of)) else { continue };
            for other in machine.neighbours().iter().filter_map(|node| of_id.get(node)) {
                edges.entry(*of).or_default().insert(*other);
                edges.entry(*other).or_default().insert(*of);
            }
        }
        let mut left = honest;
        let mut largest = BTreeSet::new();
        let mut parts = Vec::new();
        while let Some(first) = left.pop_first() {
            let (mut part, mut next) = (BTreeSet::new(), vec![first]);
            while let Some(of) = next.pop() {
                if part.insert(of) {
                    left.remove(&of);
                    next.extend(edges.get(&of).into_iter().flatten());
                }
            }
            if part.len() > largest.len() {
                parts.push(std::mem::replace(&mut largest, part));
            } else {
                parts.push(part);
            }
        }
        parts.into_iter().flatten().collect()
    }

    /// The longest that any honest node was cut off from this second to that one, in seconds, and who it was. Looked at each 5 s.
    fn longest(&self, world: &mut Simulation<Node>, from: u64, to: u64) -> (u64, usize) {
        let mut since: BTreeMap<usize, u64> = BTreeMap::new();
        let mut longest = (0, 0);
        world.run_for(from * 1_000);
        for second in (from..to).step_by(5) {
            world.run_for(5_000);
            let out = self.cut_off(world);
            since.retain(|of, _| out.contains(of));
            for of in out {
                let began = *since.entry(of).or_insert(second);
                longest = longest.max((second - began + 5, of));
            }
        }
        longest
    }
}

/// The most seconds that a node may be left with hubs that lie: a round, with what it varies by, for each of them, and a while to ask others.
fn bound(plan: &Plan) -> u64 {
    375 * plan.hostile.len() as u64 + 30
}

#[test]
fn whatever_hubs_say_no_node_is_left_with_those_that_lie() {
    for_each_seed(2, |seed| {
        let plan = Plan::any(seed);
        let (seconds, of) = plan.longest(&mut plan.world(seed), 60, 1_800);
        println!("{seconds} s at most with {} that lie", plan.hostile.len());
        assert!(seconds <= bound(&plan), "{of} for {seconds} s; {:?}", plan.hostile);
    });
}

/// They are nearer than all others, have nothing to do, and keep to the protocol: measured, nobody is as good.
#[test]
fn hubs_that_pass_nothing_on_do_not_keep_a_leaf_for_themselves() {
    for_each_seed(2, |seed| {
        let hostile = [(3, Lie::Sink), (4, Lie::Sink)].into();
        let plan = Plan { supers: 2, hubs: 6, leaves: 12, hostile };
        let mut world = plan.world(seed);
        let (seconds, of) = plan.longest(&mut world, 60, 1_800);
        println!("{seconds} s at most");
        assert!(seconds <= bound(&plan), "{of} for {seconds} s");
        let at = |of| match world.machine(id(of)) {
            Node::Honest(machine) => machine
                .neighbours()
                .iter()
                .filter(|hub| plan.hostile.keys().any(|lies| id(*lies) == **hub))
                .count(),
            Node::Hostile { .. } => 0,
        };
        assert!((8..20).map(at).sum::<usize>() >= 12, "nobody likes them, and nothing was tested");
    });
}

/// One that takes leaves in and sends them away, or says nothing more, keeps none of them from others for long.
#[test]
fn a_leaf_that_is_sent_away_or_not_answered_is_at_home_elsewhere_soon() {
    for_each_seed(2, |seed| {
        for lie in [Lie::Fickle, Lie::Mute, Lie::Tease] {
            let hostile = [(0, lie), (3, lie), (4, lie)].into();
            let plan = Plan { supers: 2, hubs: 6, leaves: 12, hostile };
            let (seconds, of) = plan.longest(&mut plan.world(seed), 60, 600);
            println!("{seconds} s at most, {lie:?}");
            assert!(seconds <= 30, "{of} for {seconds} s, {lie:?}");
        }
    });
}
