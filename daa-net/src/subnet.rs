//! Where on the internet an address is: many identities are cheap, many networks are not.

use std::net::IpAddr;

use multiaddr::{Multiaddr, Protocol};

/// What belongs to one owner, as a rule: a /24 of IPv4, a /48 of IPv6, everything without an IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subnet {
    V4([u8; 3]),
    V6([u8; 6]),
    /// Names are cheaper than networks: all of them are one. So are those who come through relays, whosever these are: an address
    /// there costs nothing.
    Unknown,
}

impl Subnet {
    pub(crate) fn of(address: &Multiaddr) -> Self {
        let is_relayed = address.iter().any(|part| matches!(part, Protocol::P2pCircuit));
        ip(address).filter(|_| !is_relayed).map_or(Self::Unknown, Self::of_ip)
    }

    pub(crate) fn of_ip(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }
}

/// The first IP address in an address. One of IPv4 in the dress of IPv6 is the same.
pub(crate) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(ip.to_canonical()),
        _ => None,
    })
}

/// Whether an IP address is of a home, a link, or this machine.
pub(crate) const fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => {
            ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::of(&text.parse().unwrap())
    }

    #[test]
    fn what_shares_a_prefix_is_one() {
        let one = subnet("/ip4/192.0.2.1/tcp/1");
        assert_eq!(one, Subnet::V4([192, 0, 2]));
        assert_eq!(subnet("/ip4/192.0.2.200/udp/2/quic-v1"), one);
        assert_eq!(subnet("/ip6/::ffff:192.0.2.7/tcp/1"), one, "the same network, in another dress");
        assert_ne!(subnet("/ip4/192.0.3.1/tcp/1"), one);
        let six = subnet("/ip6/2001:db8:1::1/tcp/1");
        assert_eq!(subnet("/ip6/2001:db8:1:ffff::1/tcp/1"), six);
        assert_ne!(subnet("/ip6/2001:db8:2::1/tcp/1"), six);
        let relay = "/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit";
        let relayed = format!("/ip4/192.0.2.1/tcp/1{relay}");
        for nowhere in ["/dns4/a.example/tcp/1", "/dns4/b.example/tcp/1", "/memory/7", relay, &relayed] {
            assert_eq!(subnet(nowhere), Subnet::Unknown);
        }
    }

    #[test]
    fn local_addresses_are_told_from_others() {
        for local in
            ["10.1.2.3", "192.168.1.1", "127.0.0.1", "169.254.1.1", "0.0.0.0", "fe80::1", "fd00::1", "::1"]
        {
            assert!(is_local(local.parse().unwrap()), "{local}");
        }
        for far in ["8.8.8.8", "172.32.0.1", "2001:db8::1"] {
            assert!(!is_local(far.parse().unwrap()), "{far}");
        }
    }
}
