//! Whatever goes wrong: in the end all see each other, and nothing goes back.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;
use rand::RngExt as _;

use super::*;
use crate::membership::Entry;
use crate::membership::statement::{Kind, SignedStatement, Statement, Unverified};
use crate::membership::wire::{Claim, Item, Message, Standing};
use crate::simulation::{Chaos, for_each_seed};

const NODES: usize = 7;

/// What no member may ever see otherwise.
#[derive(Default)]
struct Law {
    /// The highest version that one has seen of the record of another, in its life.
    versions: BTreeMap<(NodeId, NodeId), u64>,
    incarnations: BTreeMap<(NodeId, NodeId), u64>,
    signed: BTreeSet<(NodeId, u64)>,
}

impl Law {
    fn check(&mut self, world: &World) {
        for (eye, machine) in world.machines() {
            for (of, entry) in &machine.members {
                let incarnation = entry.incarnation();
                assert!(self.signed.contains(&(*of, incarnation)), "nobody said that");
                let read = Unverified::read(entry.statement.as_bytes(), &network()).unwrap();
                assert!(read.verify(&CryptoSuite::new(), identity_of(*of).key()).is_some());
                let before = self.incarnations.insert((eye, *of), incarnation);
                assert!(before.is_none_or(|before| before <= incarnation), "it goes back");
                let Some(record) = machine.record(of, world.clock(eye)) else { continue };
                let version = record.record().version;
                let before = self.versions.insert((eye, *of), version);
                assert!(before.is_none_or(|before| before <= version), "a record goes back");
            }
        }
    }

    fn forget(&mut self, eye: NodeId) {
        self.versions.retain(|(of, _), _| *of != eye);
        self.incarnations.retain(|(of, _), _| *of != eye);
    }
}

/// Signatures have randomness in them: two runs are the same only with the same ones.
type Signatures = Rc<RefCell<BTreeMap<(NodeId, u64), SignedStatement>>>;

const HOSTILE: usize = 20;

/// A member that repeats what it has heard, as it was and changed, and accuses whom it can.
fn add_hostile(world: &mut World, seed: u64, law: &Rc<RefCell<Law>>, signatures: &Signatures) {
    let puppet = node(HOSTILE);
    world.add_puppet(puppet);
    let statement = Statement { node: puppet, incarnation: testing::BEGIN.as_millis(), kind: Kind::Alive };
    law.borrow_mut().signed.insert((puppet, statement.incarnation));
    let sign = || ready(statement.sign(identity_of(puppet), &network())).unwrap();
    let mut signatures = signatures.borrow_mut();
    let signed = signatures.entry((puppet, statement.incarnation)).or_insert_with(sign);
    let statement = signed.as_bytes().clone();
    let itself = vec![Item { statement, record: testing::record(HOSTILE, 1).as_bytes().clone() }];
    let heard: Rc<RefCell<Vec<Bytes>>> = Rc::default();
    for round in 0..400 {
        let (heard, itself) = (heard.clone(), itself.clone());
        world.after(1_000 + round * 500, move |world| {
            let mut rng = Seed::from_u64(seed).child("hostile").nth(round).rng();
            let mut heard = heard.borrow_mut();
            heard.extend(world.take_inbox(puppet).into_iter().map(|(_, message)| message));
            let to = node(rng.random_range(0..NODES));
            if rng.random_range(0..10) == 0 {
                world.send_as(puppet, to, Message::Have { items: itself }.encode());
            }
            for _ in 0..4 {
                if heard.is_empty() {
                    break;
                }
                let message = heard[rng.random_range(0..heard.len())].clone();
                let mut changed = message.to_vec();
                let at = rng.random_range(0..changed.len());
                changed[at] ^= 1 << rng.random_range(0..8);
                world.send_as(puppet, to, message);
                world.send_as(puppet, to, changed);
            }
            let accuse = |of| {
                let member = world.is_up(to).then(|| world.machine(to).members.get(&node(of))).flatten();
                let incarnation = member.map_or(u64::MAX, Entry::incarnation);
                Claim { node: node(of), incarnation, record: round, standing: Standing::Accused }
            };
            let claims = (0..NODES).map(accuse).collect();
            world.send_as(puppet, to, Message::Ping { number: round, claims }.encode());
        });
    }
}

fn run(seed: u64, signatures: &Signatures) -> blake3::Hash {
    let mut rng = Seed::from_u64(seed).child("membership").rng();
    let bad = Link::rtt(rng.random_range(10..200)).with_drop(100).with_duplicate(50).with_reorder(100);
    let law = Rc::new(RefCell::new(Law::default()));
    let (signed, cached) = (law.clone(), signatures.clone());
    let mut world =
        Simulation::new(seed).with_link(bad).react(move |node, machine: &mut Membership, output, now| {
            if let Output::Sign(statement) = output {
                signed.borrow_mut().signed.insert((node, statement.incarnation));
                let mut signatures = cached.borrow_mut();
                let sign = || ready(statement.sign(identity_of(node), &network())).unwrap();
                machine.signed(
                    signatures.entry((node, statement.incarnation)).or_insert_with(sign).clone(),
                    now,
                );
            }
        });
    let skews: Vec<_> = (0..NODES)
        .map(|_| Skew::new(rng.random_range(-25_000..25_000), rng.random_range(-200..200)))
        .collect();
    for (of, skew) in skews.iter().enumerate() {
        add(&mut world, of, seed, *skew);
    }
    let is_hostile = seed % 2 == 1;
    if is_hostile {
        add_hostile(&mut world, seed, &law, signatures);
    }
    // Records change all the time.
    for version in 2..12 {
        world.after(version * 9_000, move |world| {
            let of = (seed + version * 5) as usize % NODES;
            if world.is_up(node(of)) {
                world.with(node(of), |machine, _| machine.set_record(testing::record(of, version)));
            }
        });
    }
    let plan = Chaos::plan(seed, &nodes(NODES), 100_000);
    let restart = |crashed: NodeId, before: Membership, world: &mut World| {
        if rng.random_range(0..3) == 0 {
            return before;
        }
        let of = nodes(NODES).iter().position(|node| *node == crashed).unwrap();
        law.borrow_mut().forget(crashed);
        // What it has issued is durable.
        machine(of, before.record.record().version, world, seed, skews[of])
    };
    plan.run(&mut world, restart, |world| law.borrow_mut().check(world));
    world.set_link(Link::rtt(100).with_drop(20));
    for _ in 0..20 {
        world.run_for(5_000);
        law.borrow_mut().check(&world);
    }
    assert!(world.run_until(200_000, is_whole), "{}\n{:?}", view(&world), plan.faults);
    let newest = |world: &World, of: NodeId| world.machine(of).record.record().version;
    let has_newest = |world: &World| {
        let sees = |(eye, machine): (NodeId, &Membership)| {
            let others = nodes(NODES).into_iter().filter(|of| *of != eye);
            others.into_iter().all(|of| {
                machine.record(&of, world.clock(eye)).map(|it| it.record().version) == Some(newest(world, of))
            })
        };
        world.machines().all(sees)
    };
    assert!(world.run_until(60_000, has_newest));
    let refused: u64 = nodes(NODES).into_iter().map(|node| world.traffic(node).refused).sum();
    assert!(refused == 0 || is_hostile, "honest nodes are not refused");
    law.borrow_mut().check(&world);
    world.trace()
}

#[test]
fn in_the_end_all_see_each_other_and_nothing_goes_back() {
    for_each_seed(8, |seed| {
        run(seed, &Signatures::default());
    });
}

#[test]
fn one_seed_is_one_run() {
    let signatures = Signatures::default();
    assert_eq!(run(77, &signatures), run(77, &signatures));
}
