//! Lookups find who is nearest, soon, whatever is lost and whoever is gone. What is asserted are shares, on fixed seeds.

use super::*;

/// Of the nearest that there are, how many thousandths lookups find, and how often they find the very nearest.
fn found(net: &mut Net, seed: u64, lookups: u64) -> (usize, u64, Vec<u64>) {
    let (mut found, mut expected, mut nearest, mut times) = (0, 0, 0, Vec::new());
    for turn in 0..lookups {
        let up: Vec<_> = net.nodes.iter().copied().filter(|node| net.sim.is_up(*node)).collect();
        let by = up[(turn * 7) as usize % up.len()];
        let target = place(seed, turn);
        let truth = net.truth(target, by);
        let (nodes, after) = net.find_node(by, target);
        found += nodes.iter().filter(|node| truth.contains(node)).count();
        expected += truth.len();
        nearest += u64::from(nodes.first() == truth.first());
        times.push(after);
    }
    times.sort_unstable();
    (found * 1_000 / expected, nearest, times)
}

fn p95(times: &[u64]) -> u64 {
    times[times.len() * 95 / 100]
}

#[test]
fn lookups_find_who_is_nearest() {
    for seed in 0..2 {
        let mut net = Net::new(seed, 60, Link::rtt(50), DiscoveryOptions::default());
        let (share, nearest, _) = found(&mut net, seed, 20);
        assert!(share >= 990 && nearest == 20, "{share} {nearest}");
    }
}

#[test]
fn in_a_network_of_a_hundred_they_take_less_than_half_a_second() {
    for seed in 0..2 {
        let mut net = Net::new(seed, 100, Link::rtt(50), DiscoveryOptions::default());
        let (share, nearest, times) = found(&mut net, seed, 60);
        assert!(share >= 990 && nearest == 60, "{share} {nearest}");
        assert!(p95(&times) < 500, "{times:?}");
        // A tenth is gone, and nobody has noticed yet.
        let gone: Vec<_> = net.nodes.iter().copied().skip(5).step_by(10).collect();
        gone.iter().for_each(|node| drop(net.sim.crash(*node)));
        let (share, _, times) = found(&mut net, seed, 60);
        assert!(share >= 950, "{share}");
        assert!(p95(&times) < 500, "{times:?}");
    }
}

/// Who is asked refuses a flood, and cuts off who goes on: nobody who keeps to the protocol may look like that.
#[test]
fn who_looks_for_something_all_the_time_is_refused_by_nobody() {
    let mut net = Net::new(1, 3, Link::rtt(2), DiscoveryOptions::default());
    let by = net.nodes[0];
    for turn in 0..400 {
        net.find_node(by, place(1, turn));
    }
    let refused: Vec<_> = net.nodes.iter().map(|node| net.sim.traffic(*node).refused).collect();
    assert_eq!(refused, [0, 0, 0]);
}

#[test]
fn loss_doubles_and_disorder_cost_little() {
    for seed in 0..1 {
        let link = Link::rtt(50).with_drop(50).with_duplicate(50).with_reorder(50);
        let mut net = Net::new(seed, 50, link, DiscoveryOptions::default());
        let (share, nearest, _) = found(&mut net, seed, 20);
        // A tenth of the questions has no answer, and nobody is asked twice.
        assert!(share >= 850 && nearest >= 16, "{share} {nearest}");
        // Nothing of that is held against anybody.
        let refused: u64 = net.nodes.iter().map(|node| net.sim.traffic(*node).refused).sum();
        assert_eq!(refused, 0);
    }
}

#[test]
fn after_a_partition_both_sides_find_each_other_again() {
    for seed in 0..1 {
        let mut net = Net::new(seed, 40, Link::rtt(50), DiscoveryOptions::default());
        let (left, right) = (net.nodes[..20].to_vec(), net.nodes[20..].to_vec());
        net.sim.partition(&[&left, &right]);
        net.sim.run_for(30 * 60_000);
        let (nodes, _) = net.find_node(left[3], place(seed, 1));
        assert!(
            !nodes.is_empty() && nodes.iter().all(|node| left.contains(node)),
            "only its own side answers"
        );
        net.sim.heal();
        net.sim.run_for(2 * 3_600_000);
        let (share, nearest, _) = found(&mut net, seed, 10);
        assert!(share >= 950 && nearest == 10, "{share} {nearest}");
    }
}

#[test]
fn who_comes_and_goes_is_noticed() {
    for seed in 0..1 {
        let mut net = Net::new(seed, 40, Link::rtt(50), DiscoveryOptions::default());
        for turn in 0..20 {
            let gone = net.nodes.remove(5 + turn % 10);
            drop(net.sim.crash(gone));
            let first = net.nodes.first().copied();
            net.add(40 + turn, record(1), DiscoveryOptions::default(), first, seed);
            net.sim.run_for(120_000);
        }
        let (share, nearest, _) = found(&mut net, seed, 20);
        assert!(share >= 950 && nearest >= 19, "{share} {nearest}");
        let nodes = net.nodes.clone();
        for (node, machine) in net.sim.machines() {
            let Peer::Honest(machine) = machine else { continue };
            let dead = machine.table().contacts().filter(|contact| !nodes.contains(&contact.node())).count();
            assert!(dead <= 10, "{node} has {dead} that are gone");
        }
    }
}

#[test]
fn a_newer_record_is_found_and_an_older_one_does_not_come_back() {
    let mut net = Net::new(0, 30, Link::rtt(50), DiscoveryOptions::default());
    let node = net.nodes[7];
    let newer = issue(record(2).with_address(address(7)).with_address(address(200)), &person(7));
    net.honest(node, |machine, now| machine.set_own(newer, now));
    net.sim.run_for(1_000);
    let by = net.nodes[20];
    net.find_node(by, node);
    let version =
        |net: &mut Net| net.honest(by, |machine, now| machine.record(&node, now)).unwrap().record().version;
    assert_eq!(version(&mut net), 2);
    for turn in 0..20 {
        net.find_node(by, place(0, turn));
        assert_eq!(version(&mut net), 2, "others still have the older one");
    }
}
