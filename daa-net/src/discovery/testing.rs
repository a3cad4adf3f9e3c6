//! Nodes that are the same in every run.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use daa_crypto::{CryptoSuite, EncapsulationKey, KemAlgorithm, SignatureAlgorithm};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::identity::NodeIdentity;
use crate::node_id::NodeId;
use crate::record::{NodeRecord, SignedRecord};

pub(crate) use crate::testing::{BEGIN as NOW, network, ready};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// The node with this number.
pub(crate) fn identity(number: u64) -> NodeIdentity {
    let mut rng = StdRng::seed_from_u64(number);
    let key = CryptoSuite::new().generate_signing_key_with(SignatureAlgorithm::MlDsa65, &mut rng);
    NodeIdentity::new(Arc::new(key.unwrap())).unwrap()
}

fn kem() -> EncapsulationKey {
    static KEM: OnceLock<EncapsulationKey> = OnceLock::new();
    let make = || {
        let mut rng = StdRng::seed_from_u64(7);
        let key = CryptoSuite::new().generate_decapsulation_key_with(KemAlgorithm::XWing, &mut rng);
        key.unwrap().encapsulation_key().clone()
    };
    KEM.get_or_init(make).clone()
}

/// A record good for a day.
pub(crate) fn record(version: u64) -> NodeRecord {
    NodeRecord::new(version, NOW, HOUR * 24, kem())
}

pub(crate) fn issue(record: NodeRecord, by: &NodeIdentity) -> SignedRecord {
    ready(record.issue(by, &network())).unwrap()
}

/// The record of a node, at an address in a subnet of its own or in the one of this number.
pub(crate) fn at(by: &NodeIdentity, subnet: u32) -> SignedRecord {
    issue(record(1).with_address(address(subnet)), by)
}

pub(crate) fn address(subnet: u32) -> multiaddr::Multiaddr {
    let [_, a, b, c] = subnet.to_be_bytes();
    format!("/ip4/{}.{b}.{c}.1/tcp/4001", 11 + a).parse().unwrap()
}

/// Nodes in subnets of their own.
pub(crate) fn crowd(count: u64) -> Vec<SignedRecord> {
    (0..count).map(|number| at(&identity(1_000 + number), number as u32)).collect()
}

pub(crate) fn number(number: u32) -> NodeId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    NodeId::from_bytes(bytes)
}
