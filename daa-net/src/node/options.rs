//! What a node is, and how it takes part.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::{Clock, SystemClock};

use crate::discovery::{BootstrapList, DiscoveryOptions};
use crate::gossip::GossipOptions;
use crate::membership::MembershipOptions;
use crate::record::{MAX_LIFE, Role, Service, Tier};
use crate::topology::TopologyOptions;

/// What a node is, and how it takes part.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    pub(super) roles: BTreeSet<Role>,
    pub(super) tier: Tier,
    pub(super) services: BTreeSet<Service>,
    pub(super) record_life: Duration,
    pub(super) membership: MembershipOptions,
    pub(super) gossip: GossipOptions,
    pub(super) discovery: DiscoveryOptions,
    pub(super) topology: Option<TopologyOptions>,
    pub(super) known: BootstrapList,
    pub(super) clock: Arc<dyn Clock>,
}

impl Default for NodeOptions {
    /// A leaf without roles and services, whose record is good for a day.
    fn default() -> Self {
        Self {
            roles: BTreeSet::new(),
            tier: Tier::default(),
            services: BTreeSet::new(),
            record_life: Duration::from_secs(24 * 3_600),
            membership: MembershipOptions::default(),
            gossip: GossipOptions::default(),
            discovery: DiscoveryOptions::default(),
            topology: None,
            known: BootstrapList::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl NodeOptions {
    /// A leaf without roles and services.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers this too.
    #[must_use]
    pub fn offering(mut self, service: Service) -> Self {
        self.services.insert(service);
        self
    }

    /// Does this for the network too.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.roles.insert(role);
        self
    }

    /// In this place.
    #[must_use]
    pub const fn with_tier(mut self, tier: Tier) -> Self {
        self.tier = tier;
        self
    }

    /// How long its record is good for, between a minute and a week; it is renewed when half of that has passed.
    #[must_use]
    pub fn with_record_life(mut self, life: Duration) -> Self {
        self.record_life = life.clamp(Duration::from_secs(60), MAX_LIFE);
        self
    }

    /// With another membership.
    #[must_use]
    pub const fn with_membership(mut self, membership: MembershipOptions) -> Self {
        self.membership = membership;
        self
    }

    /// With another gossip.
    #[must_use]
    pub const fn with_gossip(mut self, gossip: GossipOptions) -> Self {
        self.gossip = gossip;
        self
    }

    /// With another discovery.
    #[must_use]
    pub const fn with_discovery(mut self, discovery: DiscoveryOptions) -> Self {
        self.discovery = discovery;
        self
    }

    /// Keeps connections to neighbours, by its tier and by what it measures; without this it keeps to nobody, and is no hub either.
    #[must_use]
    pub const fn with_topology(mut self, topology: TopologyOptions) -> Self {
        self.topology = Some(topology);
        self
    }

    /// Begins with these peers: they are called as soon as the node runs, and those who answer are joined by.
    #[must_use]
    pub fn knowing(mut self, peers: BootstrapList) -> Self {
        self.known = peers;
        self
    }

    /// With another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}
