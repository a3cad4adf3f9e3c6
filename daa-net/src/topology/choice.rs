//! Which topology, by what was measured.

use std::time::Duration;

use super::options::TopologyOptions;
use super::peer::Load;

/// Who is connected to whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Topology {
    /// Everybody to everybody.
    #[default]
    Mesh,
    /// Each to those that follow it in the order of ids: the first, the second, the fourth, and so on (Chord's fingers, Stoica et al. 2001,
    /// by rank).
    Ring,
    /// All to one: the node of the highest tier, of those the one with the lowest id.
    Star,
    /// Leaves to hubs, hubs to hubs and to super nodes, super nodes to super nodes (Yang, Garcia-Molina, Designing a Super-Peer
    /// Network, 2003: each leaf at several hubs, so that none is the end of it).
    Hierarchical,
}

/// A connection is as bad as so much on the longest path. Our choice: a mesh of 26 is as good as a star at 50 ms.
const UPKEEP: Duration = Duration::from_millis(2);
/// Another topology has to cost less than this share of the present one, in hundredths.
const BETTER: u32 = 75;
/// And has to do so for so many times in a row.
const TIMES: u8 = 3;

/// What a choice follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    /// This node included.
    pub(crate) nodes: usize,
    /// Of those, the nodes of a higher tier than leaves.
    pub(crate) hubs: usize,
    /// The median round trip to any node.
    pub(crate) direct: Duration,
    /// The median round trip to a hub.
    pub(crate) to_hub: Duration,
    /// How busy hubs say they are, the median.
    pub(crate) busy: Load,
}

impl Measured {
    /// What a topology costs: the longest path between two leaves, longer where hubs on it are busy, and the connections of a leaf.
    /// Nothing where there is no room for it.
    ///
    /// Only how busy hubs are with other things counts, never how many leaves they have now: that follows from the choice, and choices that
    /// follow from it swing.
    ///
    /// A topology is chosen where a quarter of its room is left for those who come, or lose their hub. The present one may use that quarter:
    /// if it were left because a hub is gone, those who are at home with the others would have to go too.
    fn cost(&self, topology: Topology, present: Topology, options: &TopologyOptions) -> Option<Duration> {
        let others = self.nodes.saturating_sub(1);
        let quarters = if topology == present { 4 } else { 3 };
        let is_room = |wanted: usize, room: usize| wanted.saturating_mul(4) <= room.saturating_mul(quarters);
        let (path, connections) = match topology {
            Topology::Mesh if others <= options.mesh => (self.direct, others),
            Topology::Ring => {
                let hops = self.nodes.max(2).ilog2();
                (self.direct * hops, 2 * usize::try_from(hops).unwrap_or(usize::MAX))
            }
            Topology::Star if self.hubs >= 1 && is_room(others, options.capacity) => {
                (self.busy.stretch(self.to_hub * 2), 1)
            }
            Topology::Hierarchical if self.hubs >= 2 => {
                let wanted = self.nodes.saturating_sub(self.hubs).saturating_mul(options.homes);
                if !is_room(wanted, self.hubs.saturating_mul(options.capacity)) {
                    return None;
                }
                (self.busy.stretch(self.to_hub * 2 + self.direct), options.homes)
            }
            _ => return None,
        };
        Some(path + UPKEEP * u32::try_from(connections).unwrap_or(u32::MAX))
    }

    /// The topology for this: the present one, unless there is no room for it any more, or another costs less by a quarter.
    pub(crate) fn choose(&self, present: Topology, options: &TopologyOptions) -> Topology {
        let all = [Topology::Mesh, Topology::Star, Topology::Hierarchical, Topology::Ring];
        let costs = all.into_iter().filter_map(|one| Some((self.cost(one, present, options)?, one)));
        let Some((least, best)) = costs.min() else { return present };
        match self.cost(present, present, options) {
            Some(cost) if least * 100 >= cost * BETTER => present,
            _ => best,
        }
    }
}

/// Remembers what is chosen, and what may be next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chooser {
    present: Topology,
    next: Option<(Topology, u8)>,
}

impl Chooser {
    pub(super) fn new(options: &TopologyOptions) -> Self {
        Self { present: options.always.unwrap_or_default(), next: None }
    }

    pub(super) fn present(&self) -> Topology {
        self.present
    }

    /// Whether another one is chosen now: at once if there is no room for the present one, else when it was better several times.
    pub(super) fn consider(&mut self, measured: &Measured, options: &TopologyOptions) -> bool {
        if options.always.is_some() {
            return false;
        }
        let best = measured.choose(self.present, options);
        if best == self.present {
            self.next = None;
            return false;
        }
        let times = self.next.filter(|(next, _)| *next == best).map_or(1, |(_, times)| times + 1);
        if times < TIMES && measured.cost(self.present, self.present, options).is_some() {
            self.next = Some((best, times));
            return false;
        }
        (self.present, self.next) = (best, None);
        true
    }
}
