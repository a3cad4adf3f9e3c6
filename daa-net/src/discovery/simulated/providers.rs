//! Who offers a service is found, as long as it does.

use super::*;

fn training() -> Service {
    "training".parse().unwrap()
}

#[test]
fn who_offers_a_service_is_found_by_all() {
    let mut net = Net::new(0, 50, Link::rtt(50), DiscoveryOptions::default());
    let first = net.nodes[0];
    let offering = |number: usize| {
        record(1).with_service(training()).with_service(format!("s{number}").parse().unwrap())
    };
    let providers: BTreeSet<_> = (100..105)
        .map(|number| net.add(number, offering(number), DiscoveryOptions::default(), Some(first), 0))
        .collect();
    net.sim.run_for(120_000);
    let stored = net.sim.take_told().into_iter().filter_map(|told| match told.event {
        Event::Stored { by, .. } => Some(by),
        _ => None,
    });
    let stored: Vec<_> = stored.collect();
    assert_eq!(stored.len(), 10, "two services of each");
    assert!(stored.iter().all(|by| *by >= 15), "{stored:?}");
    for by in [3, 17, 44] {
        let by = net.nodes[by];
        let (found, after) = net.find_providers(by, &training());
        assert_eq!(found, providers);
        assert!(after < 500, "{after}");
        assert_eq!(net.find_providers(by, &"nothing".parse().unwrap()).0, BTreeSet::new());
    }

    // One offers it no longer, and one is gone without a word.
    let mut all = providers.iter().copied();
    let (quits, gone) = (all.next().unwrap(), all.next().unwrap());
    let number = (100..105).find(|number| person(*number).node() == quits).unwrap();
    let other = record(2).with_service(format!("s{number}").parse().unwrap());
    let other = issue(other.with_address(address(number as u32)), &person(number));
    net.honest(quits, |machine, now| machine.set_own(other, now));
    drop(net.sim.crash(gone));
    net.sim.run_for(4 * 3_600_000 + 600_000);
    let by = net.nodes[30];
    assert_eq!(net.find_providers(by, &training()).0, all.collect());
}

#[test]
fn providers_outlive_those_who_keep_them() {
    let mut net = Net::new(0, 50, Link::rtt(50), DiscoveryOptions::default());
    let first = net.nodes[0];
    let offering = record(1).with_service(training());
    let provider = net.add(100, offering, DiscoveryOptions::default(), Some(first), 0);
    net.sim.run_for(60_000);
    for turn in 0..40 {
        let gone = net.nodes.remove(3 + turn % 5);
        drop(net.sim.crash(gone));
        net.add(200 + turn, record(1), DiscoveryOptions::default(), Some(first), 0);
        net.sim.run_for(300_000);
    }
    let seekers = [net.nodes[1], net.nodes[30], net.nodes[45]];
    for by in seekers.into_iter().filter(|by| *by != provider) {
        assert!(net.find_providers(by, &training()).0.contains(&provider));
    }
}
