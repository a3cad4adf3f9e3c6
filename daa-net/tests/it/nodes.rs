//! Nodes that are the same in every run.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_crypto::{CryptoSuite, KemAlgorithm, SignatureAlgorithm};
use daa_net::record::{NodeRecord, SignedRecord};
use daa_net::{NetworkName, NodeIdentity};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// The node with this number.
pub(crate) fn node(number: u64) -> NodeIdentity {
    let key = CryptoSuite::new().generate_signing_key_with(SignatureAlgorithm::MlDsa65, &mut rng(number));
    NodeIdentity::new(Arc::new(key.unwrap())).unwrap()
}

pub(crate) fn network() -> NetworkName {
    "net".parse().unwrap()
}

/// A record of a node, good for an hour.
pub(crate) fn record(version: u64) -> NodeRecord {
    let kem = CryptoSuite::new().generate_decapsulation_key_with(KemAlgorithm::XWing, &mut rng(7)).unwrap();
    NodeRecord::new(version, NOW, HOUR, kem.encapsulation_key().clone())
}

pub(crate) fn issue(record: NodeRecord, node: &NodeIdentity) -> SignedRecord {
    ready(record.issue(node, &network())).unwrap()
}

/// What a future gives that waits for nothing: keys in memory sign at once.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}
