//! The simulation itself, with machines that do next to nothing.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use daa_core::clock::Timestamp;

use super::{Chaos, Fault, Link, Simulation, Skew};
use crate::machine::{Effect, Machine, MessageError};
use crate::node_id::NodeId;

/// Says its number to its peer each 100 ms, and tells what it hears.
struct Counter {
    peer: NodeId,
    next: Timestamp,
    number: u64,
    effects: VecDeque<Effect<Heard>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Number(u64),
    Connected,
    Disconnected,
    Woken(Timestamp),
}

impl Counter {
    fn new(peer: u8) -> Self {
        Self { peer: id(peer), next: Timestamp::EPOCH, number: 0, effects: VecDeque::new() }
    }
}

impl Machine for Counter {
    type Event = Heard;

    fn receive(&mut self, _: NodeId, message: &[u8], _: Timestamp) -> Result<(), MessageError> {
        let number = message.try_into().map_err(|_| MessageError { what: "no number" })?;
        self.effects.push_back(Effect::Tell(Heard::Number(u64::from_le_bytes(number))));
        Ok(())
    }

    fn connected(&mut self, _: NodeId, _: Timestamp) {
        self.effects.push_back(Effect::Tell(Heard::Connected));
    }

    fn disconnected(&mut self, _: NodeId, _: Timestamp) {
        self.effects.push_back(Effect::Tell(Heard::Disconnected));
    }

    fn next_wake(&self) -> Option<Timestamp> {
        Some(self.next)
    }

    fn wake(&mut self, now: Timestamp) {
        self.next = now + std::time::Duration::from_millis(100);
        self.number += 1;
        let message = Bytes::copy_from_slice(&self.number.to_le_bytes());
        self.effects.push_back(Effect::Send { to: self.peer, message });
        self.effects.push_back(Effect::Tell(Heard::Woken(now)));
    }

    fn poll(&mut self) -> Option<Effect<Heard>> {
        self.effects.pop_front()
    }
}

fn id(number: u8) -> NodeId {
    NodeId::from_bytes([number; 32])
}

fn two(seed: u64, link: Link) -> Simulation<Counter> {
    let mut simulation = Simulation::new(seed).with_link(link);
    simulation.add(id(1), Counter::new(2), Skew::default());
    simulation.add(id(2), Counter::new(1), Skew::new(-5_000, 1_000));
    simulation
}

fn numbers(simulation: &Simulation<Counter>, node: u8) -> Vec<u64> {
    let told = simulation.told().iter().filter(|told| told.node == id(node));
    told.filter_map(|told| match told.event {
        Heard::Number(number) => Some(number),
        _ => None,
    })
    .collect()
}

fn times(simulation: &Simulation<Counter>, heard: &Heard) -> Vec<(u64, NodeId)> {
    let told = simulation.told().iter().filter(|told| told.event == *heard);
    told.map(|told| (told.at, told.node)).collect()
}

#[test]
fn one_seed_has_one_trace() {
    let bad = Link::rtt(50).with_drop(100).with_duplicate(100).with_reorder(200);
    let trace = |seed| {
        let mut simulation = two(seed, bad);
        simulation.add(id(3), Counter::new(1), Skew::new(700, -300));
        Chaos::plan(seed, &[id(1), id(2), id(3)], 60_000).run(&mut simulation, |_, before, _| before, |_| ());
        simulation.run_for(5_000);
        simulation.trace()
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

#[test]
fn a_good_link_keeps_everything_in_order() {
    let mut simulation = two(1, Link::rtt(50));
    simulation.run_for(10_000);
    let heard = numbers(&simulation, 2);
    assert_eq!(heard, (1..=heard.len() as u64).collect::<Vec<_>>());
    assert!(heard.len() >= 98, "{}", heard.len());
    assert_eq!(times(&simulation, &Heard::Connected).len(), 2);
}

#[test]
fn a_bad_link_loses_doubles_and_reorders() {
    let heard = |link| {
        let mut simulation = two(3, link);
        simulation.run_for(100_000);
        numbers(&simulation, 2)
    };
    let lossy = heard(Link::rtt(50).with_drop(200)).len();
    assert!((700..900).contains(&lossy), "{lossy}");
    let doubled = heard(Link::rtt(50).with_duplicate(200)).len();
    assert!((1_100..1_300).contains(&doubled), "{doubled}");
    assert!(!heard(Link::rtt(50).with_reorder(200)).is_sorted());
}

#[test]
fn a_partition_cuts_and_heals() {
    let mut simulation = two(1, Link::rtt(50));
    simulation.run_for(1_000);
    simulation.partition(&[&[id(1)], &[id(2)]]);
    let before = numbers(&simulation, 2).len();
    simulation.run_for(10_000);
    assert_eq!(numbers(&simulation, 2).len(), before, "what was under way is lost too");
    let cut = times(&simulation, &Heard::Disconnected);
    assert_eq!((cut[0], cut[1]), ((6_000, id(1)), (6_000, id(2))), "after the silence");
    simulation.heal();
    simulation.run_for(1_000);
    assert!(numbers(&simulation, 2).len() > before);
}

#[test]
fn who_crashes_is_missed_and_hears_nothing_of_before() {
    let mut simulation = two(1, Link::rtt(50));
    simulation.run_for(1_010);
    let crashed = simulation.crash(id(2));
    assert_eq!(crashed.number, 11);
    let before = numbers(&simulation, 2).len();
    simulation.run_for(5);
    simulation.restart(id(2), crashed);
    simulation.run_for(2_000);
    let noticed = times(&simulation, &Heard::Disconnected);
    assert_eq!(noticed.len(), 1);
    assert_eq!(noticed[0].1, id(1));
    assert!(numbers(&simulation, 2)[before] > 10);
}

#[test]
fn each_machine_has_its_own_clock() {
    let mut simulation = two(1, Link::rtt(50));
    simulation.run_for(100_000);
    let (right, wrong) = (simulation.clock(id(1)), simulation.clock(id(2)));
    assert_eq!(right.since(wrong).as_millis(), 5_000 - 100);
    let woken = |node: u8| {
        let told = simulation.told().iter().filter(|told| told.node == id(node));
        told.filter_map(|told| match told.event {
            Heard::Woken(at) => Some((told.at, at)),
            _ => None,
        })
        .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(woken(1).len(), 1_001);
    assert!(woken(2).len() >= 1_001, "it is fast");
    assert!(woken(2).values().is_sorted());
}

#[test]
fn a_puppet_says_anything_and_keeps_what_it_hears() {
    let mut simulation = two(1, Link::rtt(50));
    simulation.add_puppet(id(9));
    simulation.send_as(id(9), id(1), &b"garbage"[..]);
    simulation.with(id(1), |machine, _| machine.peer = id(9));
    simulation.after(500, |simulation| simulation.send_as(id(9), id(1), vec![7; 8]));
    simulation.run_for(1_000);
    assert_eq!(simulation.traffic(id(1)).refused, 1);
    assert!(numbers(&simulation, 1).contains(&0x0707_0707_0707_0707));
    let inbox = simulation.take_inbox(id(9));
    assert!(inbox.len() >= 9 && inbox.iter().all(|(from, _)| *from == id(1)));
}

#[test]
fn plans_end_well() {
    let nodes: Vec<_> = (0..9).map(id).collect();
    for seed in 0..50 {
        let plan = Chaos::plan(seed, &nodes, 60_000);
        assert_eq!(plan, Chaos::plan(seed, &nodes, 60_000));
        assert_eq!(plan.faults.last().map(|(at, fault)| (*at, fault)), Some((60_000, &Fault::Heal)));
        let count = |is: fn(&Fault) -> bool| plan.faults.iter().filter(|(_, fault)| is(fault)).count();
        assert_eq!(
            count(|fault| matches!(fault, Fault::Crash(_))),
            count(|fault| matches!(fault, Fault::Restart(_)))
        );
    }
    assert!((0..50).any(|seed| Chaos::plan(seed, &nodes, 60_000).faults.len() > 8));
}
