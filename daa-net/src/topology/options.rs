//! What can be chosen about who a node keeps to.

use std::time::Duration;

use super::choice::Topology;

/// What can be chosen about who a node keeps to. All nodes of a network should choose the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopologyOptions {
    pub(super) homes: usize,
    pub(super) capacity: usize,
    pub(super) mesh: usize,
    pub(super) hub_mesh: usize,
    pub(super) interval: Duration,
    pub(super) always: Option<Topology>,
}

impl Default for TopologyOptions {
    /// Two hubs for a leaf, 64 leaves for a hub, full meshes of up to 32 neighbours, 16 among hubs, measured each 5 s.
    fn default() -> Self {
        Self {
            homes: 2,
            capacity: 64,
            mesh: 32,
            hub_mesh: 16,
            interval: Duration::from_secs(5),
            always: None,
        }
    }
}

impl TopologyOptions {
    /// How many hubs a leaf keeps to, from 1 to 8.
    #[must_use]
    pub fn with_homes(mut self, homes: usize) -> Self {
        self.homes = homes.clamp(1, 8);
        self
    }

    /// How many nodes of lower tiers this node serves if it is a hub, at most 1,024. It refuses those beyond.
    #[must_use]
    pub fn with_capacity(mut self, nodes: usize) -> Self {
        self.capacity = nodes.min(1_024);
        self
    }

    /// The most neighbours in a mesh of all nodes, and of hubs among each other, each from 3 to 256.
    #[must_use]
    pub fn with_meshes(mut self, all: usize, hubs: usize) -> Self {
        (self.mesh, self.hub_mesh) = (all.clamp(3, 256), hubs.clamp(3, 256));
        self
    }

    /// This topology, whatever is measured.
    #[must_use]
    pub const fn always(mut self, topology: Topology) -> Self {
        self.always = Some(topology);
        self
    }

    /// How often neighbours are measured, from 100 ms to a minute.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(Duration::from_millis(100), Duration::from_secs(60));
        self
    }
}
