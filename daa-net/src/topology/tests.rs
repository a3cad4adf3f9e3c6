//! Topology in simulations.

mod chosen;
mod hostile;

use std::collections::{BTreeMap, BTreeSet};

use daa_core::seed::Seed;

use super::wire::Message;
use super::{Load, Neighbourhood, Topology, TopologyEvent, TopologyOptions};
use crate::machine::Machine as _;
use crate::node_id::NodeId;
use crate::record::{Role, Tier};
use crate::simulation::{Link, Simulation, Skew, for_each_seed};

type World = Simulation<Neighbourhood>;

fn id(of: usize) -> NodeId {
    NodeId::from_bytes(*blake3::hash(&of.to_le_bytes()).as_bytes())
}

/// The first ones are hubs.
fn tier(of: usize, hubs: usize) -> Tier {
    if of < hubs { Tier::RegionalHub } else { Tier::Leaf }
}

/// A hierarchy: meshes of more than three are not allowed, and stars have no room.
fn options() -> TopologyOptions {
    TopologyOptions::default().with_meshes(3, 16).with_capacity(24)
}

fn machine(of: usize, count: usize, hubs: usize, seed: u64, world: &World) -> Neighbourhood {
    let now = Skew::default().local(world.now());
    let me = (id(of), tier(of, hubs), BTreeSet::new());
    let mut machine = Neighbourhood::new(options(), me, Seed::from_u64(seed).nth(of as u64), now);
    for other in (0..count).filter(|other| *other != of) {
        machine.set_member(id(other), tier(other, hubs), BTreeSet::<Role>::new(), now);
    }
    machine
}

fn settled(seed: u64, count: usize, hubs: usize, link: Link) -> World {
    let mut world = Simulation::new(seed).with_link(link);
    for of in 0..count {
        let machine = machine(of, count, hubs, seed, &world);
        world.add(id(of), machine, Skew::default());
    }
    let is_whole = |world: &World| (hubs..count).all(|of| homes(world, of).len() == 2);
    assert!(world.run_until(60_000, is_whole), "{}", view(&world, hubs, count));
    world
}

fn homes(world: &World, of: usize) -> BTreeSet<NodeId> {
    world.machine(id(of)).neighbours().clone()
}

fn view(world: &World, hubs: usize, count: usize) -> String {
    let line = |of: usize| {
        let machine = world.machine(id(of));
        let number = |node: &NodeId| (0..count).find(|other| id(*other) == *node);
        let near: Vec<_> = machine.neighbours().iter().filter_map(number).collect();
        format!("{of} {:?} {near:?}", machine.topology())
    };
    (hubs..count).filter(|of| world.is_up(id(*of))).map(line).collect::<Vec<_>>().join("\n")
}

fn moves(world: &World) -> usize {
    world.told().iter().filter(|told| matches!(told.event, TopologyEvent::Rehomed { .. })).count()
}

fn leaves(world: &World, hubs: impl Iterator<Item = usize>) -> Vec<usize> {
    hubs.map(|hub| world.machine(id(hub)).leaves.len()).collect()
}

#[test]
fn leaves_of_a_killed_hub_have_another_within_ten_seconds() {
    for_each_seed(5, |seed| {
        let mut world = settled(seed, 36, 6, Link::rtt(50));
        world.run_for(20_000);
        let orphans: Vec<_> = (6..36).filter(|of| homes(&world, *of).contains(&id(0))).collect();
        assert!(!orphans.is_empty(), "nobody was there");
        world.take_told();
        world.crash(id(0));
        let is_whole = |world: &World| {
            (6..36).all(|of| homes(world, of).len() == 2 && !homes(world, of).contains(&id(0)))
        };
        assert!(world.run_until(10_000, is_whole), "{}", view(&world, 6, 36));
        for of in orphans {
            let is_told = |event: &TopologyEvent| matches!(event, TopologyEvent::Rehomed { from, .. } if *from == id(0));
            assert!(world.told().iter().any(|told| told.node == id(of) && is_told(&told.event)), "{of}");
        }
    });
}

#[test]
fn hubs_that_are_equal_have_between_half_and_three_halves_of_their_share() {
    for_each_seed(5, |seed| {
        let mut world = settled(seed, 46, 6, Link::rtt(50));
        world.run_for(300_000);
        let loads = leaves(&world, 0..6);
        // 80 places at 6 hubs: 13 each.
        assert!(loads.iter().all(|load| (7..=20).contains(load)), "{loads:?}");
    });
}

#[test]
fn jitter_does_not_move_leaves() {
    for_each_seed(2, |seed| {
        let moved = |link| {
            let mut world = settled(seed, 36, 6, link);
            world.run_for(120_000);
            world.take_told();
            world.run_for(600_000);
            let is_choice = |event: &TopologyEvent| matches!(event, TopologyEvent::Chosen(_));
            assert_eq!(world.told().iter().filter(|told| is_choice(&told.event)).count(), 0);
            moves(&world)
        };
        // Of 30 leaves in 10 minutes, some two lots of each included.
        let (steady, jitter) = (moved(Link::rtt(50)), moved(Link { delay: (10, 60), ..Link::rtt(50) }));
        assert!((40..=90).contains(&steady), "{steady} moves");
        assert!(jitter <= steady + 25, "{jitter} moves, {steady} without jitter");
    });
}

#[test]
fn both_sides_of_a_partition_have_homes_and_heal() {
    for_each_seed(3, |seed| {
        let mut world = settled(seed, 36, 8, Link::rtt(50));
        let (left, right): (Vec<_>, Vec<_>) = (0..36).map(id).partition(|node| node.as_bytes()[0] < 128);
        world.partition(&[&left, &right]);
        let is_split = |world: &World| {
            (8..36).all(|of| {
                let side = if left.contains(&id(of)) { &left } else { &right };
                let homes = homes(world, of);
                homes.len() >= 2 && homes.iter().all(|home| side.contains(home))
            })
        };
        assert!(world.run_until(120_000, is_split), "{}", view(&world, 8, 36));
        world.heal();
        let is_whole = |world: &World| {
            (8..36).all(|of| {
                homes(world, of).len() == 2 && world.machine(id(of)).topology() == Topology::Hierarchical
            }) && (0..8).all(|of| (0..8).all(|other| of == other || homes(world, of).contains(&id(other))))
        };
        assert!(world.run_until(180_000, is_whole), "{}", view(&world, 0, 36));
    });
}

#[test]
fn strangers_and_equals_find_no_home_and_capacity_is_kept() {
    let now = Skew::default().local(0);
    let options = TopologyOptions::default().with_capacity(2);
    let mut hub =
        Neighbourhood::new(options, (id(0), Tier::RegionalHub, BTreeSet::new()), Seed::from_u64(1), now);
    for of in 1..5 {
        hub.set_member(id(of), if of == 1 { Tier::RegionalHub } else { Tier::Leaf }, BTreeSet::new(), now);
    }
    let mut ask = |of: usize| {
        hub.receive(id(of), &Message::Ping { number: 7, home: true }.encode(), now).unwrap();
        let mut answer = None;
        while let Some(effect) = hub.poll() {
            if let crate::machine::Effect::Send { to, message } = effect {
                assert_eq!(to, id(of));
                answer = Some(Message::decode(&message).unwrap());
            }
        }
        let Some(Message::Pong { number: 7, home, .. }) = answer else { panic!("{answer:?}") };
        home
    };
    assert_eq!([9, 1, 2, 3, 4, 2].map(&mut ask), [false, false, true, true, false, true]);
}

#[test]
fn lies_are_bounded() {
    let pong =
        |busy| Message::Pong { number: 1, busy: Load::per_mille(busy), taken: Load::default(), home: true };
    assert!(Message::decode(&pong(1_000).encode()).is_ok());
    let beyond = [&[0x12, 4, 0x10, 0xe9, 0x07, 0x20][..], &[1]].concat();
    assert_eq!(Message::decode(&beyond).unwrap_err().what, "no message");
    let beyond = [0x12, 3, 0x10, 0xe9, 0x07];
    assert_eq!(Message::decode(&beyond).unwrap_err().what, "a load of more than everything");
    assert!(Message::decode(&[0; 65]).is_err());
    let now = Skew::default().local(0);
    let mut peer = super::Peer::new(Tier::RegionalHub, BTreeSet::new());
    peer.asked(1, now);
    assert!(!peer.answered(2, (Load::default(), Load::default()), now), "a number that was not asked");
    assert!(peer.answered(1, (Load::default(), Load::default()), now));
    assert!(!peer.answered(1, (Load::default(), Load::default()), now), "twice");
    assert_eq!(peer.cost(Load::default()).as_millis(), 5, "not nearer than that");
    assert_eq!(peer.cost(Load::per_mille(500)).as_millis(), 10, "not less busy than half of what is usual");
    peer.asked(3, now);
    assert!(peer.answered(3, (Load::per_mille(1_000), Load::default()), now));
    assert_eq!(peer.cost(Load::default()).as_millis(), 50);
}

#[test]
fn a_hub_that_sends_a_leaf_away_is_not_asked_again_at_once() {
    // Too many for a star.
    let mut world = settled(1, 20, 2, Link::rtt(50));
    let hub = *homes(&world, 5).first().unwrap();
    world.with(id(5), |machine, now| machine.answered_home(hub, false, now));
    world.run_for(10_000);
    assert!(!homes(&world, 5).contains(&hub));
    assert!(world.run_until(60_000, |world| homes(world, 5).contains(&hub)));
}
