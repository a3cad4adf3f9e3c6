//! Nodes of the simulations: made once in a process, because keys cost time.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::seed::Seed;
use daa_crypto::{CryptoSuite, KemAlgorithm, SignatureAlgorithm};

use crate::identity::NodeIdentity;
use crate::network::NetworkName;
use crate::node_id::NodeId;
use crate::record::{NodeRecord, SignedRecord};

/// When simulations begin.
pub(crate) const BEGIN: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// How many nodes there are.
const NODES: u64 = 64;

fn identities() -> &'static [NodeIdentity] {
    static IDENTITIES: OnceLock<Vec<NodeIdentity>> = OnceLock::new();
    let make = |number| {
        let mut rng = Seed::from_u64(number).child("identity").rng();
        let key = CryptoSuite::new().generate_signing_key_with(SignatureAlgorithm::MlDsa65, &mut rng);
        NodeIdentity::new(Arc::new(key.expect("a key"))).expect("of a node")
    };
    IDENTITIES.get_or_init(|| (0..NODES).map(make).collect())
}

pub(crate) fn identity(of: usize) -> &'static NodeIdentity {
    identities().get(of).expect("one of them")
}

pub(crate) fn node(of: usize) -> NodeId {
    identity(of).node()
}

#[cfg(test)]
pub(crate) fn nodes(count: usize) -> Vec<NodeId> {
    (0..count).map(node).collect()
}

/// The identity of a node.
#[cfg(test)]
pub(crate) fn identity_of(node: NodeId) -> &'static NodeIdentity {
    identities().iter().find(|identity| identity.node() == node).unwrap()
}

pub(crate) fn network() -> NetworkName {
    "net".parse().expect("a name")
}

/// A record of a node, good for a day from the beginning on.
pub(crate) fn record(of: usize, version: u64) -> SignedRecord {
    static RECORDS: Mutex<BTreeMap<(usize, u64), SignedRecord>> = Mutex::new(BTreeMap::new());
    let issue = || {
        let mut rng = Seed::from_u64(1).child("kem").rng();
        let kem = CryptoSuite::new().generate_decapsulation_key_with(KemAlgorithm::XWing, &mut rng);
        let kem = kem.expect("a key");
        let life = Duration::from_secs(24 * 3_600);
        let record = NodeRecord::new(version, BEGIN, life, kem.encapsulation_key().clone());
        ready(record.issue(identity(of), &network())).expect("a record")
    };
    RECORDS.lock().expect("nobody failed").entry((of, version)).or_insert_with(issue).clone()
}

/// What a future gives that waits for nothing: keys in memory sign at once.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("it waits"),
    }
}
