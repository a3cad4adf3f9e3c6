//! How a node takes part in the internet.

use std::num::NonZeroU32;
use std::time::Duration;

use libp2p::relay;
use multiaddr::Multiaddr;

use super::limits::ConnectionLimits;
use crate::transport::Bandwidth;

/// How many relays a node has by default, while it cannot be called.
const THROUGH: usize = 2;

/// What a node that relays does for others, all of them nodes that have proved themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayLimits {
    /// For how many nodes it listens at a time: 256.
    pub nodes: usize,
    /// How many connections it relays at a time: 1,024.
    pub circuits: usize,
    /// How many of them may be to or from one node: 64.
    pub circuits_per_node: usize,
    /// How many one node may begin in two minutes: 256. Of those with one IP address, twice as many.
    pub circuits_begun: u32,
    /// How many bytes one of them may carry in each direction before it ends: 1 GiB.
    pub circuit_bytes: u64,
    /// How long one of them may last: an hour.
    pub circuit_time: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            nodes: 256,
            circuits: 1_024,
            circuits_per_node: 64,
            circuits_begun: 256,
            circuit_bytes: 1 << 30,
            circuit_time: Duration::from_secs(3_600),
        }
    }
}

impl RelayLimits {
    /// Listens for at most so many nodes.
    #[must_use]
    pub const fn with_nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Relays at most so many connections, and at most so many of one node.
    #[must_use]
    pub const fn with_circuits(mut self, circuits: usize, per_node: usize) -> Self {
        (self.circuits, self.circuits_per_node) = (circuits, per_node);
        self
    }

    /// One node may begin at most so many in two minutes, at least one.
    #[must_use]
    pub const fn with_circuits_begun(mut self, circuits: u32) -> Self {
        self.circuits_begun = circuits;
        self
    }

    /// One connection may carry at most so many bytes in each direction, and last so long, a day at most.
    #[must_use]
    pub const fn with_circuit(mut self, bytes: u64, time: Duration) -> Self {
        (self.circuit_bytes, self.circuit_time) = (bytes, time);
        self
    }

    pub(super) fn config(&self) -> relay::Config {
        let interval = Duration::from_secs(120);
        let begun = NonZeroU32::new(self.circuits_begun).unwrap_or(NonZeroU32::MIN);
        let of_one_address = begun.saturating_mul(NonZeroU32::MIN.saturating_add(1));
        relay::Config {
            max_reservations: self.nodes,
            max_circuits: self.circuits,
            max_circuits_per_peer: self.circuits_per_node,
            max_circuit_bytes: self.circuit_bytes,
            max_circuit_duration: self.circuit_time.min(Duration::from_secs(24 * 3_600)),
            circuit_src_rate_limiters: Vec::new(),
            ..relay::Config::default()
        }
        .circuit_src_per_peer(begun, interval)
        .circuit_src_per_ip(of_one_address, interval)
    }
}

/// How a node takes part in the internet.
///
/// ```
/// use daa_net::transport::libp2p::Libp2pOptions;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = Libp2pOptions::new()
///     .listening_on("/ip4/0.0.0.0/udp/4001/quic-v1".parse()?)
///     .listening_on("/ip4/0.0.0.0/tcp/4001".parse()?)
///     .relaying();
/// # let _ = options;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Libp2pOptions {
    /// Where to listen. Nowhere by default: then the node can call and not be called, but through a relay.
    pub listen: Vec<Multiaddr>,
    /// Where others reach this node, when somebody knows better than the network: behind a forwarded port, say.
    pub announce: Vec<Multiaddr>,
    /// Whether this node relays for others who have proved themselves.
    pub relays: bool,
    /// How much it does for them.
    pub relay_limits: RelayLimits,
    /// Through how many relays among the nodes that it meets this node is reached while nobody can call it: 2.
    pub through: usize,
    /// Whether nodes of the local network are found, and this one by them, by multicast DNS.
    pub mdns: bool,
    /// Whether addresses beyond local networks are neither called nor answered.
    pub lan_only: bool,
    /// How many connections there may be.
    pub limits: ConnectionLimits,
    /// How many bytes a second go over the streams.
    pub bandwidth: Bandwidth,
}

impl Default for Libp2pOptions {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            announce: Vec::new(),
            relays: false,
            relay_limits: RelayLimits::default(),
            through: THROUGH,
            mdns: false,
            lan_only: false,
            limits: ConnectionLimits::default(),
            bandwidth: Bandwidth::default(),
        }
    }
}

impl Libp2pOptions {
    /// A node that calls, and does not listen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A node that listens to this machine only, at ports that are free, on QUIC and TCP.
    #[must_use]
    pub fn loopback() -> Self {
        let parts = |text: &str| text.parse().ok();
        Self {
            listen: ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"]
                .into_iter()
                .filter_map(parts)
                .collect(),
            ..Self::default()
        }
    }

    /// Listens here too: `/ip4/…/udp/…/quic-v1`, `/ip4/…/tcp/…`, `/ip4/…/tcp/…/ws`, and the same with `ip6`. Port 0 is any that is
    /// free.
    #[must_use]
    pub fn listening_on(mut self, address: Multiaddr) -> Self {
        self.listen.push(address);
        self
    }

    /// Can be reached here too.
    #[must_use]
    pub fn announcing(mut self, address: Multiaddr) -> Self {
        self.announce.push(address);
        self
    }

    /// Relays for others. Where it listens it can be reached, or it is of no use.
    #[must_use]
    pub const fn relaying(mut self) -> Self {
        self.relays = true;
        self
    }

    /// Relays for others, within other limits.
    #[must_use]
    pub const fn relaying_within(mut self, limits: RelayLimits) -> Self {
        self.relays = true;
        self.relay_limits = limits;
        self
    }

    /// Has at most so many relays; with none it is not reached where nobody can call it.
    #[must_use]
    pub const fn through_relays(mut self, relays: usize) -> Self {
        self.through = relays;
        self
    }

    /// Finds nodes of the local network, and is found by them. What it finds is told by
    /// [`TransportEvent::Found`](crate::transport::TransportEvent::Found).
    #[must_use]
    pub const fn with_mdns(mut self) -> Self {
        self.mdns = true;
        self
    }

    /// Stays within the local network, and finds its nodes. It needs no relay.
    #[must_use]
    pub const fn lan_only(mut self) -> Self {
        self.mdns = true;
        self.lan_only = true;
        self
    }

    /// Sends and receives no faster.
    #[must_use]
    pub const fn with_bandwidth(mut self, bandwidth: Bandwidth) -> Self {
        self.bandwidth = bandwidth;
        self
    }

    /// With other limits on connections.
    #[must_use]
    pub const fn with_limits(mut self, limits: ConnectionLimits) -> Self {
        self.limits = limits;
        self
    }
}
