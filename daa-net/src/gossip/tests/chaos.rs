//! Whatever goes wrong: who stays hears everything, nobody hears anything twice, and all of it is signed.

use std::cell::RefCell;
use std::rc::Rc;

use prost::Message as _;

use super::hostile::interested;
use super::*;
use crate::simulation::{Chaos, for_each_seed};

const NODES: usize = 9;

const HOSTILE: usize = 30;

/// A peer that repeats what it has heard, as it was and changed.
fn add_hostile(world: &mut World, seed: u64) {
    let puppet = node(HOSTILE);
    world.add_puppet(puppet);
    let heard: Rc<RefCell<Vec<Bytes>>> = Rc::default();
    for round in 0..160 {
        let heard = heard.clone();
        world.after(1_000 + round * 500, move |world| {
            let mut rng = Seed::from_u64(seed).child("hostile").nth(round).rng();
            let mut heard = heard.borrow_mut();
            heard.extend(world.take_inbox(puppet).into_iter().map(|(_, message)| message));
            let to = node(rng.random_range(0..NODES));
            world.connect(puppet, to);
            world.send_as(puppet, to, interested().encode_to_vec());
            for turn in 0..6 {
                if heard.is_empty() {
                    break;
                }
                let mut message = heard[rng.random_range(0..heard.len())].to_vec();
                if turn == 0 && round > 100 && !message.is_empty() {
                    let at = rng.random_range(0..message.len());
                    message[at] ^= 1 << rng.random_range(0..8);
                }
                world.send_as(puppet, to, message);
            }
        });
    }
}

fn run(seed: u64) {
    let mut rng = Seed::from_u64(seed).child("gossip").rng();
    let bad = Link::rtt(rng.random_range(10..200)).with_drop(50).with_duplicate(50).with_reorder(100);
    let mut world = Simulation::new(seed).with_link(bad);
    let skews: Vec<_> = (0..NODES)
        .map(|_| Skew::new(rng.random_range(-25_000..25_000), rng.random_range(-200..200)))
        .collect();
    for (of, skew) in skews.iter().enumerate() {
        let machine = machine(of, seed, skew.local(0), Validation::Signature);
        world.add(node(of), machine, *skew);
    }
    let is_hostile = seed % 2 == 1;
    if is_hostile {
        add_hostile(&mut world, seed);
    }
    // Topology sees to it that who can be reached is connected.
    for round in 0..80 {
        world.after(round * 2_000, |world| {
            for one in nodes(NODES) {
                nodes(NODES)
                    .into_iter()
                    .filter(|other| one < *other)
                    .for_each(|other| world.connect(one, other));
            }
        });
    }
    let published = Rc::new(RefCell::new(BTreeMap::new()));
    for number in 0..40 {
        let (author, published) = (node(rng.random_range(0..NODES)), published.clone());
        world.after(5_000 + number * 1_200, move |world| {
            if world.is_up(author) {
                let id = publish(world, author, number);
                published.borrow_mut().insert(id, (author, world.now()));
            }
        });
    }
    // All within a lifetime, so that everything can be made up for.
    let plan = Chaos::plan(seed, &nodes(NODES), 55_000);
    let mut lives: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
    let restart = |crashed: NodeId, _: Gossip, world: &mut World| {
        let of = nodes(NODES).iter().position(|node| *node == crashed).unwrap();
        lives.entry(crashed).or_default().push(world.now());
        machine(of, seed, world.clock(crashed), Validation::Signature)
    };
    plan.run(&mut world, restart, |_| ());
    world.set_link(Link::rtt(100).with_drop(20));
    world.run_for(25_000);
    let all = deliveries(&world);
    let published = published.borrow();
    for (id, (author, at)) in published.iter() {
        // What an author loses in a crash before anybody has it is lost.
        let is_lost = lives.contains_key(author);
        for node in nodes(NODES).into_iter().filter(|node| node != author) {
            let heard = all.get(&(*id, node)).map_or(&[][..], Vec::as_slice);
            if !lives.contains_key(&node) {
                assert!(heard.len() <= 1, "{node} heard a message {} times", heard.len());
                assert!(is_lost || heard.len() == 1, "{node} has not heard what was said at {at}: {plan:?}");
            }
            // Once in each life.
            let borders = lives.get(&node).map_or(&[][..], Vec::as_slice);
            let life = |at: &u64| borders.iter().filter(|border| *border <= at).count();
            let in_lives: BTreeSet<_> = heard.iter().map(life).collect();
            assert_eq!(in_lives.len(), heard.len(), "twice in a life");
        }
    }
    assert!(all.keys().all(|(id, _)| published.contains_key(id)), "nobody said that");
    assert!(published.len() > 20);
    assert!(misbehaved(&world).iter().all(|peer| *peer == node(HOSTILE)), "all others are honest");
    let refused: u64 = nodes(NODES).into_iter().map(|node| world.traffic(node).refused).sum();
    assert!(refused == 0 || is_hostile);
}

#[test]
fn who_stays_hears_everything_once() {
    for_each_seed(8, run);
}
