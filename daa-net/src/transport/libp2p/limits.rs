//! How many connections there may be, from where.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use daa_core::clock::Timestamp;
use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol as Part;
use libp2p::swarm::ConnectionId;

use crate::quota::{Quotas, Rate};
use crate::subnet::{self, Subnet, ip};

/// How many connections a node has at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// All of them: 1,024. A quarter is left for those that this node makes, so that nobody who calls it can keep it from calling others.
    pub total: usize,
    /// Those that others made and whose peer has not proved itself: 128. When there are so many, the subnet with the most of them makes
    /// room for one that has fewer.
    pub unproved: usize,
    /// Those of one subnet (a /24 of IPv4, a /48 of IPv6) that others made: 64. Those through relays count as of one.
    pub per_subnet: usize,
    /// Those of one subnet whose peer has not proved itself: 16.
    pub unproved_per_subnet: usize,
    /// Those with one node: 4.
    pub per_node: usize,
    /// How many one subnet may make in a second, over a while: 32, and four times as many at once. Each may cost a signature.
    pub per_second: u64,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: 1_024,
            unproved: 128,
            per_subnet: 64,
            unproved_per_subnet: 16,
            per_node: 4,
            per_second: 32,
        }
    }
}

impl ConnectionLimits {
    /// At most so many.
    #[must_use]
    pub const fn with_total(mut self, connections: usize) -> Self {
        self.total = connections;
        self
    }

    /// At most so many whose peer has not proved itself, of all subnets and of one.
    #[must_use]
    pub const fn with_unproved(mut self, connections: usize, per_subnet: usize) -> Self {
        self.unproved = connections;
        self.unproved_per_subnet = per_subnet;
        self
    }

    /// At most so many of one subnet.
    #[must_use]
    pub const fn with_per_subnet(mut self, connections: usize) -> Self {
        self.per_subnet = connections;
        self
    }

    /// At most so many a second from one subnet, at least one.
    #[must_use]
    pub fn with_per_second(mut self, connections: u64) -> Self {
        self.per_second = connections.max(1);
        self
    }

    /// At most so many with one node.
    #[must_use]
    pub const fn with_per_node(mut self, connections: usize) -> Self {
        self.per_node = connections;
        self
    }
}

/// Whether an address is of a local network, so that it can be used where nothing else is. Through a relay none is: the relay may be
/// here, and who is behind it anywhere.
pub(super) fn is_local(address: &Multiaddr) -> bool {
    if address.iter().any(|part| matches!(part, Part::P2pCircuit)) {
        return false;
    }
    let is_memory = || address.iter().any(|part| matches!(part, Part::Memory(_)));
    ip(address).map_or_else(is_memory, subnet::is_local)
}

/// The connections that count.
#[derive(Debug)]
pub(super) struct Counted {
    limits: ConnectionLimits,
    rates: Quotas<Subnet>,
    connections: HashMap<ConnectionId, Connection>,
}

#[derive(Debug)]
struct Connection {
    /// `None` for those that this node made.
    subnet: Option<Subnet>,
    is_proved: bool,
}

impl Counted {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        let rates = Quotas::new(Rate::per_second(limits.per_second, limits.per_second.saturating_mul(4)));
        Self { limits, rates, connections: HashMap::new() }
    }

    pub(super) const fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    /// One more that somebody makes. Gives the one that makes room for it, which does not count any more and is to be closed.
    pub(super) fn incoming(
        &mut self,
        id: ConnectionId,
        from: &Multiaddr,
        now: Timestamp,
    ) -> Result<Option<ConnectionId>, TooMany> {
        let subnet = Subnet::of(from);
        let (mut all, mut near) = (0, 0);
        let mut unproved: BTreeMap<Subnet, BTreeSet<ConnectionId>> = BTreeMap::new();
        for (id, connection) in &self.connections {
            let Some(other) = connection.subnet else { continue };
            all += 1;
            near += usize::from(other == subnet);
            if !connection.is_proved {
                unproved.entry(other).or_default().insert(*id);
            }
        }
        let limits = &self.limits;
        let unproved_near = unproved.get(&subnet).map_or(0, BTreeSet::len);
        for (count, limit, what) in [
            (self.connections.len(), limits.total, TooMany::Total),
            (all, limits.total - limits.total / 4, TooMany::Total),
            (near, limits.per_subnet, TooMany::Subnet),
            (unproved_near, limits.unproved_per_subnet, TooMany::UnprovedSubnet),
        ] {
            if count >= limit {
                return Err(what);
            }
        }
        let mut makes_room = None;
        if unproved.values().map(BTreeSet::len).sum::<usize>() >= limits.unproved {
            let crowd = unproved.values().max_by_key(|crowd| crowd.len());
            // Who came first has had the most time.
            let oldest = crowd.filter(|crowd| crowd.len() > unproved_near + 1).and_then(BTreeSet::first);
            makes_room = Some(*oldest.ok_or(TooMany::Unproved)?);
        }
        self.rates.take(subnet, 1, now).map_err(|_| TooMany::Rate)?;
        makes_room.iter().for_each(|id| self.gone(*id));
        self.connections.insert(id, Connection { subnet: Some(subnet), is_proved: false });
        Ok(makes_room)
    }

    /// Whether it counts: it may have made room for another one before it was made.
    pub(super) fn has(&self, id: ConnectionId) -> bool {
        self.connections.contains_key(&id)
    }

    /// One more that this node makes.
    pub(super) fn outgoing(&mut self, id: ConnectionId) -> Result<(), TooMany> {
        if self.connections.len() >= self.limits.total {
            return Err(TooMany::Total);
        }
        self.connections.insert(id, Connection { subnet: None, is_proved: false });
        Ok(())
    }

    pub(super) fn proved(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_proved = true;
        }
    }

    pub(super) fn gone(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMany {
    #[error("there are as many connections as there may be")]
    Total,
    #[error("there are as many connections to peers that have not proved themselves as there may be")]
    Unproved,
    #[error("there are as many connections from one subnet as there may be")]
    Subnet,
    #[error(
        "there are as many connections from one subnet to peers that have not proved themselves as there may be"
    )]
    UnprovedSubnet,
    #[error("one subnet makes more connections than it may")]
    Rate,
    #[error("only addresses of local networks are used")]
    NotLocal,
    #[error("the node does not keep up with what happens")]
    Behind,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Multiaddr {
        address.parse().unwrap()
    }

    /// How many of 1,000 are let in that come and go.
    fn comers(counted: &mut Counted, next: &mut usize, address: &str, now: Timestamp) -> usize {
        let mut let_in = 0;
        for _ in 0..1_000 {
            *next += 1;
            let id = ConnectionId::new_unchecked(*next);
            let_in += usize::from(counted.incoming(id, &from(address), now).is_ok());
            counted.gone(id);
        }
        let_in
    }

    #[test]
    fn who_comes_and_goes_does_so_at_a_rate_and_others_do_not_suffer() {
        let limits = ConnectionLimits::default().with_per_second(1);
        let (mut counted, mut next) = (Counted::new(limits), 0);
        for (second, address, expected) in [
            (0, "/ip4/192.0.2.1/tcp/1", 4),
            (0, "/ip4/192.0.2.200/tcp/1", 0),
            (0, "/ip4/192.0.3.1/tcp/1", 4),
            (0, "/ip6/2001:db8::1/tcp/1", 4),
            (0, "/ip6/2001:db8:0:7::1/udp/1/quic-v1", 0),
            (2, "/ip6/::ffff:192.0.2.9/tcp/1", 2),
            (9, "/ip4/192.0.2.1/tcp/1", 4),
        ] {
            let now = Timestamp::from_millis(second * 1_000);
            assert_eq!(comers(&mut counted, &mut next, address, now), expected, "{address}");
        }
    }

    #[test]
    fn limits_are_reached_one_by_one_and_left_again() {
        let limits = ConnectionLimits::default().with_total(8).with_unproved(5, 2).with_per_subnet(3);
        let mut counted = Counted::new(limits);
        let id = ConnectionId::new_unchecked;
        let here = from("/ip4/192.0.2.1/tcp/1");
        assert_eq!([1, 2].map(|number| counted.incoming(id(number), &here, Timestamp::EPOCH)), [Ok(None); 2]);
        assert_eq!(counted.incoming(id(3), &here, Timestamp::EPOCH), Err(TooMany::UnprovedSubnet));
        counted.proved(id(1));
        assert_eq!(counted.incoming(id(3), &here, Timestamp::EPOCH), Ok(None));
        counted.proved(id(2));
        assert_eq!(counted.incoming(id(4), &here, Timestamp::EPOCH), Err(TooMany::Subnet));
        let elsewhere = |number: usize| from(&format!("/ip4/198.51.{number}.1/tcp/1"));
        assert_eq!(
            [5, 6, 7].map(|number| counted.incoming(id(number), &elsewhere(number), Timestamp::EPOCH)),
            [Ok(None); 3]
        );
        assert_eq!(counted.incoming(id(8), &elsewhere(8), Timestamp::EPOCH), Err(TooMany::Total));
        assert_eq!(
            [9, 10].map(|number| counted.outgoing(id(number))),
            [Ok(()); 2],
            "a quarter is this node's"
        );
        assert_eq!(counted.outgoing(id(11)), Err(TooMany::Total));
        counted.gone(id(1));
        assert_eq!(counted.outgoing(id(11)), Ok(()));
    }

    #[test]
    fn few_subnets_do_not_take_all_room_of_those_who_have_not_proved_themselves() {
        let limits = ConnectionLimits::default().with_unproved(6, 3);
        let mut counted = Counted::new(limits);
        let mut next = 0;
        let mut comes = |counted: &mut Counted, subnet: usize| {
            next += 1;
            let address = from(&format!("/ip4/198.51.{subnet}.1/tcp/1"));
            counted.incoming(ConnectionId::new_unchecked(next), &address, Timestamp::EPOCH)
        };
        for subnet in [1, 1, 1, 2, 2, 2] {
            assert_eq!(comes(&mut counted, subnet), Ok(None));
        }
        assert_eq!(comes(&mut counted, 1), Err(TooMany::UnprovedSubnet));
        let made_room = [comes(&mut counted, 3), comes(&mut counted, 4)].map(|came| came.unwrap().unwrap());
        assert!(made_room.iter().all(|id| !counted.has(*id)));
        // Two, two, one and one: nobody has two more than a newcomer would.
        assert_eq!(comes(&mut counted, 3), Err(TooMany::Unproved));
        assert!(matches!(comes(&mut counted, 5), Ok(Some(_))));
        assert_eq!(counted.connections.len(), 6);
    }

    #[test]
    fn local_addresses_are_told_from_others() {
        for address in [
            "/ip4/10.1.2.3/tcp/1",
            "/ip4/192.168.1.1/udp/1",
            "/ip4/127.0.0.1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/::1/tcp/1",
            "/memory/1",
        ] {
            assert!(is_local(&from(address)), "{address}");
        }
        for address in [
            "/ip4/8.8.8.8/tcp/1",
            "/ip6/2001:db8::1/tcp/1",
            "/dns/example.com/tcp/1",
            "/ip6/::ffff:8.8.8.8/tcp/1",
            "/ip4/10.1.2.3/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit",
        ] {
            assert!(!is_local(&from(address)), "{address}");
        }
    }
}
