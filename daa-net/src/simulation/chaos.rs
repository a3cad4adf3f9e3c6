//! Plans of what goes wrong, and when.

use daa_core::seed::Seed;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::Simulation;
use crate::machine::Machine;
use crate::node_id::NodeId;

/// Something that goes wrong, or well again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Partition(Vec<Vec<NodeId>>),
    Heal,
    Crash(NodeId),
    Restart(NodeId),
}

/// Faults at moments, in milliseconds from where it is run. At the end the network is whole, and every node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chaos {
    pub(crate) faults: Vec<(u64, Fault)>,
}

impl Chaos {
    /// A plan for these nodes, for about so many milliseconds: partitions one after the other, up to a third of the nodes down at
    /// a time.
    pub(crate) fn plan(seed: u64, nodes: &[NodeId], millis: u64) -> Self {
        let mut rng = Seed::from_u64(seed).child("chaos").rng();
        let (mut faults, mut down, mut at, mut is_cut) = (Vec::new(), Vec::new(), 0, false);
        loop {
            at += rng.random_range(1..=millis / 8);
            if at >= millis {
                break;
            }
            let fault = match rng.random_range(0..4) {
                0 if is_cut => Fault::Heal,
                0 => {
                    let mut nodes = nodes.to_vec();
                    nodes.shuffle(&mut rng);
                    let (left, right) = nodes.split_at(rng.random_range(0..=nodes.len()));
                    Fault::Partition(vec![left.to_vec(), right.to_vec()])
                }
                1 | 2 if down.len() < nodes.len() / 3 => {
                    let node = nodes[rng.random_range(0..nodes.len())];
                    if down.contains(&node) {
                        continue;
                    }
                    down.push(node);
                    Fault::Crash(node)
                }
                _ => match down.pop() {
                    Some(node) => Fault::Restart(node),
                    None => continue,
                },
            };
            is_cut = match &fault {
                Fault::Heal => false,
                Fault::Partition(_) => true,
                _ => is_cut,
            };
            faults.push((at, fault));
        }
        faults.extend(down.into_iter().map(|node| (millis, Fault::Restart(node))));
        faults.push((millis, Fault::Heal));
        Self { faults }
    }

    /// Goes through the plan. What crashed comes back as `restart` makes it, from the machine that crashed. After each fault, and at the end, `check` looks at everything.
    pub(crate) fn run<M: Machine>(
        &self,
        simulation: &mut Simulation<M>,
        mut restart: impl FnMut(NodeId, M, &mut Simulation<M>) -> M,
        mut check: impl FnMut(&Simulation<M>),
    ) where
        M::Event: std::fmt::Debug,
    {
        let begin = simulation.now();
        let mut down = Vec::new();
        for (at, fault) in &self.faults {
            simulation.run_for(begin + at - simulation.now());
            match fault {
                Fault::Partition(groups) => {
                    simulation.partition(&groups.iter().map(Vec::as_slice).collect::<Vec<_>>());
                }
                Fault::Heal => simulation.heal(),
                Fault::Crash(node) => down.push((*node, simulation.crash(*node))),
                Fault::Restart(node) => {
                    let at = down.iter().position(|(crashed, _)| crashed == node).expect("it crashed");
                    let (_, before) = down.swap_remove(at);
                    let machine = restart(*node, before, simulation);
                    simulation.restart(*node, machine);
                }
            }
            check(simulation);
        }
    }
}
