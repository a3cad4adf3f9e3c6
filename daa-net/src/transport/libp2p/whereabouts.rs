//! Where a node can be reached, as far as it knows.

use libp2p::core::multiaddr::Protocol as Part;
use libp2p::{Multiaddr, PeerId};

use crate::subnet::ip;

/// Whether others can call a node, without a relay and without its help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reachability {
    /// Nobody has tried yet.
    #[default]
    Unknown,
    /// Somebody has called it at an address from outside (AutoNAT), or it was told of an address that others reach.
    Public,
    /// Who tried did not reach it: it is behind a NAT or a firewall.
    Private,
}

#[derive(Debug, Default)]
pub(super) struct Whereabouts {
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) reachability: Reachability,
}

/// Whether an address leads through a relay.
pub(super) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Part::P2pCircuit))
}

/// The relay that an address leads through.
pub(super) fn relay_of(address: &Multiaddr) -> Option<PeerId> {
    let mut relay = None;
    for part in address.iter() {
        match part {
            Part::P2p(peer) => relay = Some(peer),
            Part::P2pCircuit => return relay,
            _ => {}
        }
    }
    None
}

/// Whether this node may be at an address that a peer saw it at. Over a relay a peer sees the relay, or nothing that says where, and nobody
/// is to call this node there to find out.
pub(super) fn is_candidate(address: &Multiaddr) -> bool {
    !is_relayed(address) && ip(address).is_some()
}

/// What a node tells others of where it is: first what others are known to reach, then where relays listen for it, and then where it listens
/// itself. Addresses of the machine itself say nothing to others, and are told only where there is nothing else.
pub(super) fn told<'a>(
    own: PeerId,
    external: impl Iterator<Item = &'a Multiaddr>,
    listening: impl Iterator<Item = &'a Multiaddr>,
) -> Vec<Multiaddr> {
    let external = external.map(|address| (address, if is_relayed(address) { 1 } else { 0 }));
    let listening = listening.map(|address| (address, if is_relayed(address) { 1 } else { 2 }));
    let mut ranked: Vec<(u8, Multiaddr)> = Vec::new();
    for (address, rank) in external.chain(listening) {
        let address = match address.clone().with_p2p(own) {
            Ok(address) | Err(address) => address,
        };
        if ranked.iter().all(|(_, other)| *other != address) {
            ranked.push((rank, address));
        }
    }
    let is_loopback = |address: &Multiaddr| ip(address).is_some_and(|ip| ip.is_loopback());
    if ranked.iter().any(|(_, address)| !is_loopback(address)) {
        ranked.retain(|(_, address)| !is_loopback(address));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, address)| address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(own: PeerId, external: &[&str], listening: &[&str]) -> Vec<String> {
        let parsed =
            |texts: &[&str]| -> Vec<Multiaddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let (external, listening) = (parsed(external), parsed(listening));
        let told = told(own, external.iter(), listening.iter());
        let end = format!("/p2p/{own}");
        told.iter().map(|address| address.to_string().trim_end_matches(&end).to_owned()).collect()
    }

    #[test]
    fn what_others_reach_comes_first_then_relays_then_the_rest_and_nothing_twice() {
        let own = PeerId::random();
        let relay = format!("/ip4/198.51.100.7/udp/4001/quic-v1/p2p/{}/p2p-circuit", PeerId::random());
        let local = "/ip4/192.168.1.2/udp/4001/quic-v1";
        let public = "/ip4/203.0.113.9/udp/4001/quic-v1";
        assert_eq!(of(own, &[public], &[local, &relay, local, public]), [public, &relay, local]);
        assert_eq!(of(own, &[&relay], &[&relay]), [relay]);
    }

    #[test]
    fn the_relay_of_an_address_is_the_one_before_the_circuit() {
        let (relay, peer) = (PeerId::random(), PeerId::random());
        let of = |text: String| relay_of(&text.parse().unwrap());
        assert_eq!(of(format!("/ip4/203.0.113.9/tcp/1/p2p/{relay}/p2p-circuit/p2p/{peer}")), Some(relay));
        assert_eq!(of(format!("/ip4/203.0.113.9/tcp/1/p2p/{peer}")), None);
        assert_eq!(of(format!("/p2p-circuit/p2p/{peer}")), None);
    }

    #[test]
    fn what_is_seen_over_a_relay_is_nowhere() {
        let peer = PeerId::random();
        let is = |text: String| is_candidate(&text.parse().unwrap());
        assert!(is("/ip4/203.0.113.9/udp/4001/quic-v1".to_owned()));
        assert!(is(format!("/ip6/2001:db8::1/tcp/4001/p2p/{peer}")));
        assert!(!is(format!("/p2p/{peer}")));
        assert!(!is(format!("/ip4/203.0.113.9/tcp/1/p2p/{peer}/p2p-circuit")));
    }

    #[test]
    fn addresses_of_the_machine_itself_are_told_only_where_there_is_nothing_else() {
        let own = PeerId::random();
        let here = "/ip4/127.0.0.1/tcp/4001";
        let circuit = format!("{here}/p2p/{}/p2p-circuit", PeerId::random());
        let local = "/ip4/192.168.1.2/tcp/4001";
        assert_eq!(of(own, &[&circuit], &[here, local, "/ip6/::1/tcp/1"]), [local]);
        assert_eq!(of(own, &[], &[here, &circuit]), [circuit.as_str(), here]);
    }
}
