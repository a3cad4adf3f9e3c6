//! Messages reach all who are interested, soon, and once.

use super::*;
use crate::machine::{Effect, Machine as _};

/// How long it took from node to node, in milliseconds, sorted.
fn latencies(seed: u64, link: Link) -> Vec<u64> {
    let mut world = world(seed, 50, 12, link);
    world.run_for(10_000);
    let mut published = BTreeMap::new();
    let mut rng = Seed::from_u64(seed).child("authors").rng();
    for number in 0..200 {
        let author = node(rng.random_range(0..50));
        published.insert(publish(&mut world, author, number), (author, world.now()));
        world.run_for(50);
    }
    world.run_for(30_000);
    let all = deliveries(&world);
    for id in published.keys() {
        let missed = nodes(50).into_iter().filter(|node| !all.contains_key(&(*id, *node)));
        assert_eq!(missed.collect::<Vec<_>>(), [published[id].0], "all but the author");
    }
    assert!(all.values().all(|times| times.len() == 1), "once");
    let mut latencies: Vec<_> = all.iter().map(|((id, _), times)| times[0] - published[id].1).collect();
    latencies.sort_unstable();
    latencies
}

fn percentile(sorted: &[u64], share: usize) -> u64 {
    sorted[(sorted.len() * share / 100).min(sorted.len() - 1)]
}

#[test]
fn fifty_nodes_hear_within_half_a_second() {
    for seed in 0..2 {
        let all = latencies(seed, Link::rtt(50));
        let (half, most, last) = (percentile(&all, 50), percentile(&all, 99), all[all.len() - 1]);
        println!("seed {seed}: p50 {half} ms, p99 {most} ms, longest {last} ms of {}", all.len());
        assert!(most < 500, "p99 is {most} ms");
    }
}

#[test]
fn fifty_nodes_hear_within_half_a_second_though_links_lose_messages() {
    let all = latencies(7, Link::rtt(50).with_drop(10));
    let (half, most, last) = (percentile(&all, 50), percentile(&all, 99), all[all.len() - 1]);
    println!("p50 {half} ms, p99 {most} ms, longest {last} ms of {}", all.len());
    assert!(most < 500, "p99 is {most} ms");
}

#[test]
fn meshes_have_their_degree() {
    let mut world = world(1, 40, 40, Link::rtt(50));
    world.run_for(200_000);
    for (_, machine) in world.machines() {
        assert!((6..=12).contains(&mesh(machine)), "{}", mesh(machine));
    }
    assert!(misbehaved(&world).is_empty());
}

#[test]
fn who_is_not_interested_any_more_hears_nothing() {
    let mut world = world(2, 8, 8, Link::rtt(50));
    world.run_for(3_000);
    world.with(node(3), |machine, now| machine.unsubscribe(&topic(), now));
    world.run_for(1_000);
    let id = publish(&mut world, node(0), 1);
    world.run_for(20_000);
    let all = deliveries(&world);
    let heard: Vec<_> = nodes(8).into_iter().filter(|node| all.contains_key(&(id, *node))).collect();
    assert_eq!(heard.len(), 6);
    assert!(!heard.contains(&node(3)));
    // It may publish all the same.
    let id = publish(&mut world, node(3), 2);
    world.run_for(5_000);
    assert_eq!(deliveries(&world).keys().filter(|(of, _)| *of == id).count(), 7);
}

#[test]
fn who_comes_late_is_shown_what_there_was() {
    let mut world = world(3, 6, 6, Link::rtt(50));
    world.run_for(3_000);
    let ids: Vec<_> = (0..20).map(|number| publish(&mut world, node(0), number)).collect();
    world.run_for(30_000);
    let late = machine(9, 3, BEGIN + Duration::from_millis(world.now()), Validation::Signature);
    world.add(node(9), late, Skew::default());
    world.connect(node(9), node(4));
    world.run_for(5_000);
    let all = deliveries(&world);
    assert!(ids.iter().all(|id| all.contains_key(&(*id, node(9)))));
}

#[test]
fn what_is_lost_in_a_silence_that_nobody_notices_is_made_up_for() {
    let mut world = world(3, 8, 8, Link::rtt(50));
    world.run_for(5_000);
    let (left, right) = (nodes(8)[..4].to_vec(), nodes(8)[4..].to_vec());
    world.partition(&[&left, &right]);
    let ids = [publish(&mut world, node(0), 1), publish(&mut world, node(7), 2)];
    // Connections hold for five seconds.
    world.run_for(4_500);
    world.heal();
    world.run_for(30_000);
    let all = deliveries(&world);
    assert!(ids.iter().all(|id| all.keys().filter(|(of, _)| of == id).count() == 7));
}

#[test]
fn the_application_decides_what_is_passed_on() {
    let mut world: World = Simulation::new(4).react(|_, machine: &mut Gossip, event, now| {
        if let GossipEvent::Message { id, message, .. } = event {
            let verdict = match message.payload[0] {
                0 => Verdict::Accept,
                1 => Verdict::Ignore,
                _ => Verdict::Reject,
            };
            machine.validated(id, verdict, now);
        }
    });
    // A line: what is not passed on ends at the first.
    for of in 0..4 {
        world.add(node(of), machine(of, 4, BEGIN, Validation::Application), Skew::default());
    }
    (0..3).for_each(|of| world.connect(node(of), node(of + 1)));
    world.run_for(3_000);
    let heard = |world: &World, id| deliveries(world).keys().filter(|(of, _)| *of == id).count();
    let accepted = publish(&mut world, node(0), 0);
    let ignored = publish(&mut world, node(0), 1);
    world.run_for(20_000);
    assert_eq!((heard(&world, accepted), heard(&world, ignored)), (3, 1));
    assert!(world.machine(node(1)).score(&node(0)) > 0.0);
    let rejected = publish(&mut world, node(0), 2);
    world.run_for(1_000);
    assert_eq!(heard(&world, rejected), 1);
    assert!(world.machine(node(1)).score(&node(0)) < 0.0);
    assert!(!world.machine(node(1)).topics[&topic()].mesh.contains(&node(0)));
}

/// What a machine sends to each, and how many messages it tells.
fn drain(machine: &mut Gossip) -> (Vec<(NodeId, Bytes)>, usize) {
    let (mut sent, mut told) = (Vec::new(), 0);
    while let Some(effect) = machine.poll() {
        match effect {
            Effect::Send { to, message } => sent.push((to, message)),
            Effect::Tell(GossipEvent::Message { .. }) => told += 1,
            Effect::Tell(GossipEvent::Misbehaved(_)) => panic!("it did not"),
        }
    }
    (sent, told)
}

#[test]
fn a_key_travels_once() {
    let mut machines = [0, 1].map(|of| machine(of, 5, BEGIN, Validation::Signature));
    for (of, machine) in machines.iter_mut().enumerate() {
        machine.connected(node(1 - of), BEGIN);
    }
    let mut bytes = Vec::new();
    for number in 0..3 {
        let signed = sign(0, "text", number, BEGIN);
        if number > 0 {
            machines[0].publish(signed, BEGIN).unwrap();
        }
        let (mut all, mut heard) = (0, 0);
        for _ in 0..6 {
            for of in 0..2 {
                let (sent, told) = drain(&mut machines[of]);
                heard += told;
                for (_, message) in sent {
                    all += message.len();
                    machines[1 - of].receive(node(of), &message, BEGIN).unwrap();
                }
            }
        }
        bytes.push((all, heard));
    }
    let key = identity(0).key().encode().len();
    assert_eq!([bytes[1].1, bytes[2].1], [1, 1]);
    // The request names the author in 32 bytes.
    assert!((key + 32..key + 60).contains(&(bytes[1].0 - bytes[2].0)), "{bytes:?}");
}

#[test]
fn only_new_messages_of_ones_own_are_published() {
    let machine = &mut machine(0, 6, BEGIN, Validation::Signature);
    let mut refused = |signed| machine.publish(signed, BEGIN).unwrap_err().to_string();
    let first = sign(0, "a", 1, BEGIN);
    assert_eq!(refused(sign(1, "a", 1, BEGIN)), "only new messages of this node are published");
    let later = sign(0, "a", 1, BEGIN + Duration::from_secs(61));
    assert_eq!(refused(later), "only new messages of this node are published");
    assert_eq!(
        refused(sign(0, &"a".repeat(16_385), 1, BEGIN)),
        "a message has at most 16384 bytes, not 16385"
    );
    machine.publish(first.clone(), BEGIN).unwrap();
    assert_eq!(machine.publish(first, BEGIN).unwrap_err().to_string(), "the message was published before");
}
