//! Which topology, and whether it holds together.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::topology::choice::{Chooser, Measured};
use crate::topology::shape;

const MS: Duration = Duration::from_millis(1);

fn measured(nodes: usize, hubs: usize) -> Measured {
    Measured { nodes, hubs, direct: MS * 50, to_hub: MS * 50, busy: Load::default() }
}

fn best(measured: Measured) -> Topology {
    measured.choose(Topology::Ring, &TopologyOptions::default())
}

#[test]
fn size_hubs_latency_and_load_decide() {
    assert_eq!(best(measured(5, 2)), Topology::Mesh);
    assert_eq!(best(measured(40, 0)), Topology::Ring);
    assert_eq!(best(measured(40, 1)), Topology::Star);
    assert_eq!(best(measured(200, 8)), Topology::Hierarchical);
    assert_eq!(best(measured(200, 2)), Topology::Ring, "two hubs have no room for 198 leaves");
    assert_eq!(best(Measured { to_hub: MS * 5, ..measured(10, 1) }), Topology::Star, "a hub next door");
    assert_eq!(
        best(Measured { busy: Load::per_mille(900), ..measured(20, 2) }),
        Topology::Mesh,
        "hubs that are busy"
    );
}

#[test]
fn another_one_has_to_be_much_better_for_a_while() {
    let options = TopologyOptions::default();
    let mut chooser = Chooser::new(&options);
    let near = Measured { to_hub: MS * 5, ..measured(10, 1) };
    assert!(!chooser.consider(&near, &options) && !chooser.consider(&near, &options));
    assert!(!chooser.consider(&measured(10, 1), &options), "it begins again");
    assert_eq!([0; 3].map(|_| chooser.consider(&near, &options)), [false, false, true]);
    assert_eq!(chooser.present(), Topology::Star);
    // 64 ms of a mesh and 68 of a star.
    let even = Measured { to_hub: MS * 33, ..measured(8, 1) };
    assert!((0..10).all(|_| !chooser.consider(&even, &options)));
    assert!(chooser.consider(&measured(100, 8), &options), "a star of 100 has no room");
}

#[test]
fn the_room_that_was_left_is_there_for_those_who_lose_their_hub() {
    let options = TopologyOptions::default().with_meshes(8, 16).with_capacity(16);
    let choice = |nodes, hubs, present| measured(nodes, hubs).choose(present, &options);
    assert_eq!(choice(20, 4, Topology::Ring), Topology::Hierarchical);
    // 32 places are wanted, and 32 are there.
    assert_eq!(
        choice(18, 2, Topology::Ring),
        Topology::Ring,
        "where nobody has a home yet, a quarter is left"
    );
    assert_eq!(choice(18, 2, Topology::Hierarchical), Topology::Hierarchical, "who has one keeps it");
    assert_eq!(choice(19, 2, Topology::Hierarchical), Topology::Ring, "34 are wanted");
    assert_eq!(choice(17, 1, Topology::Star), Topology::Star);
    assert_eq!(choice(18, 1, Topology::Star), Topology::Ring, "17 leaves");
}

fn is_connected(edges: &BTreeMap<NodeId, BTreeSet<NodeId>>) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), edges.keys().take(1).copied().collect::<Vec<_>>());
    while let Some(node) = next.pop() {
        if seen.insert(node) {
            next.extend(&edges[&node]);
            next.extend(edges.iter().filter(|(_, to)| to.contains(&node)).map(|(from, _)| *from));
        }
    }
    seen.len() == edges.len()
}

proptest! {
    #[test]
    fn nodes_that_differ_are_connected(choices in prop::collection::vec((0_usize..4, any::<u64>()), 6..40), hubs in 2_usize..5) {
        let options = TopologyOptions::default().with_meshes(3, 3);
        let all: BTreeMap<_, _> = (0..choices.len()).map(|of| (id(of), tier(of, hubs))).collect();
        let mut edges = BTreeMap::new();
        for (of, (choice, salt)) in choices.iter().enumerate() {
            let topology = [Topology::Mesh, Topology::Ring, Topology::Star, Topology::Hierarchical][*choice];
            let mut others = all.clone();
            others.remove(&id(of));
            let cost = |node: &NodeId| MS * u32::from(node.as_bytes()[(*salt % 32) as usize]);
            let mut near = shape::neighbours(topology, (id(of), tier(of, hubs)), &others, cost, &options);
            prop_assert!(!near.contains(&id(of)) && near.len() <= 10);
            if topology == Topology::Hierarchical && of >= hubs {
                near.insert(id((*salt % hubs as u64) as usize));
            }
            edges.insert(id(of), near);
        }
        prop_assert!(is_connected(&edges));
    }

    #[test]
    fn rings_have_few_neighbours_and_short_ways(count in 2_usize..100) {
        let all: BTreeMap<_, _> = (0..count).map(|of| (id(of), Tier::Leaf)).collect();
        for of in 0..count {
            let mut others = all.clone();
            others.remove(&id(of));
            let near = shape::neighbours(Topology::Ring, (id(of), Tier::Leaf), &others, |_| MS, &TopologyOptions::default());
            prop_assert_eq!(near.len(), (count - 1).ilog2() as usize + 1);
        }
    }
}

#[test]
fn one_that_was_asked_for_is_never_left() {
    let options = TopologyOptions::default().always(Topology::Ring);
    let mut chooser = Chooser::new(&options);
    assert_eq!(chooser.present(), Topology::Ring);
    assert!((0..10).all(|_| !chooser.consider(&measured(10, 1), &options)));
    assert!((0..10).all(|_| !chooser.consider(&measured(100, 8), &options)));
    assert_eq!(chooser.present(), Topology::Ring);
}
