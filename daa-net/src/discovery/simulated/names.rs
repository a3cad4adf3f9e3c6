//! Names belong to who came first, as far as those near them know, and go on doing so while those come and go.

use std::time::Duration;

use std::sync::Arc;

use super::super::testing::{NOW, at, ready};
use super::hostile::Hostile;
use super::*;
use crate::names::{Claim, Name, NameRecord, Resolution, SignedName, Title};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn treasury() -> Name {
    "treasury.dark".parse().unwrap()
}

/// The title of the person with this number.
fn title(owner: usize) -> Title {
    Title::new(Claim::work(&network(), &treasury(), person(owner).node()))
}

fn issue_name(version: u64, owner: usize, title: Title) -> SignedName {
    let record = NameRecord::new(treasury(), person(owner).node(), version, NOW, DAY * 30);
    ready(record.issue(&person(owner), &network(), title)).unwrap()
}

impl Net {
    fn resolve(&mut self, by: NodeId) -> Resolution {
        let lookup = self.honest(by, |machine, now| machine.find_name(treasury(), now)).unwrap();
        match self.wait(by, lookup) {
            (Found::Name(resolution), _) => resolution,
            other => panic!("{other:?}"),
        }
    }

    fn owner(&mut self, by: NodeId) -> Option<NodeId> {
        match self.resolve(by) {
            Resolution::Found(name) => Some(name.owner()),
            _ => None,
        }
    }

    fn register(&mut self, by: usize, name: SignedName) {
        let by = self.nodes[by];
        self.honest(by, |machine, now| machine.register(name, now)).unwrap();
        self.sim.run_for(30_000);
    }
}

#[test]
fn a_name_is_resolved_renewed_and_given_away() {
    let mut net = Net::new(0, 50, Link::rtt(50), DiscoveryOptions::default());
    let (one, other) = (net.nodes[20], net.nodes[40]);
    assert!(matches!(net.resolve(one), Resolution::NotFound));
    let first = title(5);
    net.register(5, issue_name(1, 5, first.clone()));
    assert_eq!(net.owner(one), Some(person(5).node()));

    // Somebody else claims it, and says that it was so for long.
    net.register(6, issue_name(1_000, 6, title(6)));
    assert_eq!((net.owner(one), net.owner(other)), (Some(person(5).node()), Some(person(5).node())));
    net.honest(person(6).node(), |machine, _| machine.unregister(&treasury()));

    net.register(5, issue_name(2, 5, first.clone()));
    let Resolution::Found(found) = net.resolve(other) else { panic!() };
    assert_eq!(found.record().version, 2);

    // A third one gets it. The first goes on as before, and is not heard.
    let given = ready(first.clone().transfer(&person(5), &network(), person(7).node())).unwrap();
    net.register(7, issue_name(1, 7, given));
    net.register(5, issue_name(3, 5, first));
    assert_eq!((net.owner(one), net.owner(other)), (Some(person(7).node()), Some(person(7).node())));
}

#[test]
fn an_owner_keeps_a_name_while_keepers_come_and_go_and_another_one_waits_for_it() {
    let mut net = Net::new(0, 50, Link::rtt(50), DiscoveryOptions::default());
    net.register(1, issue_name(1, 1, title(1)));
    // It is told to whoever is near, more often than the owner does.
    let thief = issue_name(9, 2, title(2));
    let first = net.nodes[0];
    for turn in 0..45 {
        let gone = net.nodes.remove(4 + turn % 40);
        drop(net.sim.crash(gone));
        net.add(100 + turn, record(1), DiscoveryOptions::default(), Some(first), 0);
        net.sim.run_for(5_000);
        net.register(2, thief.clone());
        net.sim.run_for(300_000);
    }
    let by: Vec<_> = net.nodes[20..30].to_vec();
    for by in by {
        assert_eq!(net.owner(by), Some(person(1).node()));
    }
}

#[test]
fn a_third_that_lies_takes_no_name() {
    let mut net = Net::new(0, 40, Link::rtt(50), DiscoveryOptions::default());
    let thief = issue_name(9, 2, title(2));
    let liars: Vec<_> = (0..17).map(|number| person(500 + number)).collect();
    let friends: Arc<Vec<_>> =
        Arc::new(liars.iter().zip(70_000..).map(|(liar, subnet)| at(liar, subnet)).collect());
    for liar in &liars {
        let hostile = Hostile::new(friends.clone(), net.nodes.clone()).with_claim(&thief);
        net.sim.add(liar.node(), Peer::Hostile(hostile), Skew::default());
    }
    net.sim.run_for(60_000);
    net.register(1, issue_name(1, 1, title(1)));
    let by: Vec<_> = net.nodes[10..30].to_vec();
    let owners: Vec<_> = by.into_iter().map(|by| net.owner(by)).collect();
    assert!(!owners.contains(&Some(person(2).node())), "{owners:?}");
    let right = owners.iter().filter(|owner| **owner == Some(person(1).node())).count();
    assert!(right >= 16, "{right} of 20, the others contested");
}
