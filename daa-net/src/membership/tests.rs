//! Membership in simulations.

mod chaos;
mod hostile;
mod life;

use std::time::Duration;

use daa_core::seed::Seed;
use daa_crypto::CryptoSuite;

use super::{MemberState, Membership, MembershipEvent, MembershipOptions, Output};
use crate::node_id::NodeId;
use crate::simulation::{Link, Simulation, Skew};
use crate::testing::{self, identity_of, network, node, nodes, ready};

type World = Simulation<Membership>;

fn options() -> MembershipOptions {
    MembershipOptions::default().with_sync_interval(Duration::from_secs(10))
}

/// A simulation whose nodes sign at once.
fn world(seed: u64, link: Link) -> World {
    Simulation::new(seed).with_link(link).react(|node, machine: &mut Membership, output, now| match output {
        Output::Sign(statement) => {
            let signed = ready(statement.sign(identity_of(node), &network())).unwrap();
            machine.signed(signed, now);
        }
        Output::Renew(above) => {
            let of = (0..64).find(|of| testing::node(*of) == node).unwrap();
            machine.set_record(testing::record(of, above + 1));
        }
        Output::Event(_) => {}
    })
}

/// The machine of a node with the record of this version, which joins by node 0 and node 1.
fn machine(of: usize, version: u64, world: &World, seed: u64, skew: Skew) -> Membership {
    let now = skew.local(world.now());
    let seed = Seed::from_u64(seed).nth(of as u64).nth(world.now());
    let record = testing::record(of, version);
    let mut machine = Membership::new(options(), CryptoSuite::new(), network(), record, seed, now);
    machine.join([node(0), node(1)]);
    machine
}

fn add(world: &mut World, of: usize, seed: u64, skew: Skew) {
    let machine = machine(of, 1, world, seed, skew);
    world.add(node(of), machine, skew);
}

/// So many nodes that know each other.
fn settled(seed: u64, count: usize, link: Link) -> World {
    let mut world = world(seed, link);
    for of in 0..count {
        add(&mut world, of, seed, Skew::default());
    }
    assert!(world.run_until(120_000, is_whole), "{}", view(&world));
    world
}

fn state(world: &World, of: NodeId, in_eyes_of: NodeId) -> Option<MemberState> {
    world.machine(in_eyes_of).member(&of).map(|member| member.state)
}

/// Whether every node that runs sees all those as they are.
fn all_see(world: &World, what: MemberState, of: &[NodeId]) -> bool {
    world.machines().all(|(eye, _)| of.iter().all(|of| *of == eye || state(world, *of, eye) == Some(what)))
}

/// Whether all that run see each other.
fn is_whole(world: &World) -> bool {
    let up: Vec<_> = world.machines().map(|(node, _)| node).collect();
    all_see(world, MemberState::Alive, &up)
}

/// Who sees whom how, for messages.
fn view(world: &World) -> String {
    let number = |node: NodeId| (0..64).find(|of| testing::node(*of) == node).unwrap();
    let line = |(eye, machine): (NodeId, &Membership)| {
        let seen: Vec<_> =
            machine.members().map(|member| format!("{}:{:?}", number(member.node), member.state)).collect();
        format!("{} sees {}", number(eye), seen.join(" "))
    };
    format!("at {} ms\n{}", world.now(), world.machines().map(line).collect::<Vec<_>>().join("\n"))
}

fn events(world: &World) -> impl Iterator<Item = (u64, NodeId, MembershipEvent)> + '_ {
    world.told().iter().filter_map(|told| match told.event {
        Output::Event(event) => Some((told.at, told.node, event)),
        Output::Sign(_) | Output::Renew(_) => None,
    })
}

fn count(world: &World, is: impl Fn(MembershipEvent) -> bool) -> usize {
    events(world).filter(|(_, _, event)| is(*event)).count()
}

fn died(event: MembershipEvent) -> bool {
    matches!(event, MembershipEvent::Died(_))
}

fn suspected(event: MembershipEvent) -> bool {
    matches!(event, MembershipEvent::Suspected(_))
}
