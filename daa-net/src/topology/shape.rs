//! Who is a neighbour of whom in each topology, by the list of nodes alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::choice::Topology;
use super::options::TopologyOptions;
use crate::node_id::NodeId;
use crate::record::Tier;

/// Nodes and their tiers, the one that is asked about left out.
pub(super) type Others = BTreeMap<NodeId, Tier>;

/// The neighbours of a node that follow from the list; in the hierarchy its hubs are not among them, because they have to agree.
///
/// Nodes that see the same list and differ about the topology are connected all the same: hubs are connected in all of them; leaves lead to
/// one, to the centre, or to who follows them, and so on.
pub(super) fn neighbours(
    topology: Topology,
    (me, tier): (NodeId, Tier),
    others: &Others,
    cost: impl Fn(&NodeId) -> Duration,
    options: &TopologyOptions,
) -> BTreeSet<NodeId> {
    let mut all = match topology {
        Topology::Mesh => mesh(me, others.keys().copied().collect(), options.mesh, &cost),
        Topology::Ring => ring(me, others),
        Topology::Star => centre((me, tier), others).filter(|centre| *centre != me).into_iter().collect(),
        Topology::Hierarchical => BTreeSet::new(),
    };
    if tier != Tier::Leaf {
        let group = |is: &dyn Fn(Tier) -> bool| -> BTreeSet<NodeId> {
            others.iter().filter(|(_, tier)| is(**tier)).map(|(node, _)| *node).collect()
        };
        all.extend(mesh(me, group(&|other| other == tier), options.hub_mesh, &cost));
        all.extend(follower(me, &group(&|other| other != Tier::Leaf)));
    }
    all
}

fn follower(me: NodeId, group: &BTreeSet<NodeId>) -> Option<NodeId> {
    group.range(me..).next().or_else(|| group.first()).copied()
}

/// The middle of a star: all see the same one.
pub(super) fn centre((me, tier): (NodeId, Tier), others: &Others) -> Option<NodeId> {
    let all = others.iter().map(|(node, tier)| (*node, *tier)).chain([(me, tier)]);
    all.max_by(|one, other| (one.1, other.0).cmp(&(other.1, one.0))).map(|(node, _)| node)
}

fn ring(me: NodeId, others: &Others) -> BTreeSet<NodeId> {
    let followers = || others.range(me..).chain(others.range(..me)).map(|(node, _)| *node);
    let steps = std::iter::successors(Some(1_usize), |step| step.checked_mul(2));
    steps.take_while(|step| *step <= others.len()).filter_map(|step| followers().nth(step - 1)).collect()
}

/// All, up to a bound. Beyond it: who follows in the order of ids, so that nobody is left out; the nearest; and some that a hash
/// chooses, so that what is far is not many steps away (small worlds: Watts, Strogatz 1998).
fn mesh(
    me: NodeId,
    group: BTreeSet<NodeId>,
    bound: usize,
    cost: &impl Fn(&NodeId) -> Duration,
) -> BTreeSet<NodeId> {
    if group.len() <= bound {
        return group;
    }
    let mut chosen: BTreeSet<NodeId> = follower(me, &group).into_iter().collect();
    let mut nearest: Vec<_> = group.iter().map(|node| (cost(node), *node)).collect();
    nearest.sort_unstable();
    chosen.extend(nearest.iter().map(|(_, node)| *node).take(bound / 2));
    let mut rest: Vec<_> = group.difference(&chosen).map(|node| (lot(me, *node), *node)).collect();
    rest.sort_unstable();
    let room = bound.saturating_sub(chosen.len());
    chosen.extend(rest.into_iter().map(|(_, node)| node).take(room));
    chosen
}

/// The same for both, and otherwise by chance.
fn lot(one: NodeId, other: NodeId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("daa-net topology lot v1");
    hasher.update(one.min(other).as_bytes()).update(one.max(other).as_bytes());
    *hasher.finalize().as_bytes()
}
