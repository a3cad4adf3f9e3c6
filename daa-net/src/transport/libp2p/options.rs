//! How a node takes part in the internet.

use multiaddr::Multiaddr;

use super::limits::ConnectionLimits;
use crate::transport::Bandwidth;

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
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Libp2pOptions {
    /// Where to listen. Nowhere by default: then the node can call and not be called, but through a relay.
    pub listen: Vec<Multiaddr>,
    /// Where others reach this node, when somebody knows better than the network: behind a forwarded port, say.
    pub announce: Vec<Multiaddr>,
    /// Whether this node relays for others who have proved themselves.
    pub relays: bool,
    /// Whether nodes of the local network are found, and this one by them, by multicast DNS.
    pub mdns: bool,
    /// Whether addresses beyond local networks are neither called nor answered.
    pub lan_only: bool,
    /// How many connections there may be.
    pub limits: ConnectionLimits,
    /// How many bytes a second go over the streams.
    pub bandwidth: Bandwidth,
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

    /// Finds nodes of the local network, and is found by them. What it finds is told by
    /// [`TransportEvent::Found`](crate::transport::TransportEvent::Found).
    #[must_use]
    pub const fn with_mdns(mut self) -> Self {
        self.mdns = true;
        self
    }

    /// Stays within the local network, and finds its nodes.
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
