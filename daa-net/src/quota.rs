//! How much a peer may ask of us, or all of a subnet.

use std::collections::BTreeMap;
use std::time::Duration;

use daa_core::clock::Timestamp;

use crate::machine::MessageError;
use crate::node_id::NodeId;

/// The most peers that are counted at once. Peers beyond them are refused.
const PEERS: usize = 10_000;

/// A bucket of tokens for each peer. What is full again is forgotten.
#[derive(Debug)]
pub(crate) struct Quotas<K = NodeId> {
    burst: u64,
    per_second: u64,
    /// Tokens that are left, in thousandths, and when they were counted.
    buckets: BTreeMap<K, (u64, Timestamp)>,
}

impl<K: Ord> Quotas<K> {
    pub(crate) const fn new(burst: u64, per_second: u64) -> Self {
        Self { burst, per_second, buckets: BTreeMap::new() }
    }

    /// Takes so many tokens of a peer.
    pub(crate) fn take(&mut self, peer: K, tokens: u64, now: Timestamp) -> Result<(), MessageError> {
        let tokens = tokens.saturating_mul(1_000);
        let left = self.left(&peer, now);
        if !self.buckets.contains_key(&peer) && self.buckets.len() >= PEERS {
            self.forget(now);
            if self.buckets.len() >= PEERS {
                return Err(MessageError { what: "more peers than can be counted" });
            }
        }
        let rest = left.checked_sub(tokens);
        self.buckets.insert(peer, (rest.unwrap_or(left), now));
        rest.map(drop).ok_or(MessageError { what: "more than a peer may ask" })
    }

    /// Forgets the peers that have all their tokens.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        let (burst, rate) = (self.burst, self.per_second);
        self.buckets.retain(|_, (left, at)| refilled(*left, *at, now, burst, rate) < burst * 1_000);
    }

    fn left(&self, peer: &K, now: Timestamp) -> u64 {
        let full = self.burst * 1_000;
        let bucket = self.buckets.get(peer);
        bucket.map_or(full, |(left, at)| refilled(*left, *at, now, self.burst, self.per_second))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }
}

fn refilled(left: u64, at: Timestamp, now: Timestamp, burst: u64, per_second: u64) -> u64 {
    // Thousandths of a token a second are tokens a millisecond.
    let millis = u64::try_from(now.since(at).min(Duration::from_secs(3_600)).as_millis()).unwrap_or(0);
    left.saturating_add(millis.saturating_mul(per_second)).min(burst * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    #[test]
    fn a_peer_has_a_burst_and_a_rate() {
        let (one, other) = (NodeId::from_bytes([1; 32]), NodeId::from_bytes([2; 32]));
        let mut quotas = Quotas::new(10, 2);
        assert!((0..10).all(|_| quotas.take(one, 1, at(0)).is_ok()));
        assert!(quotas.take(one, 1, at(499)).is_err());
        assert!(quotas.take(other, 10, at(0)).is_ok(), "each has its own");
        assert!(quotas.take(one, 1, at(500)).is_ok());
        assert!(quotas.take(one, 3, at(1_500)).is_err());
        assert!(quotas.take(one, 2, at(1_500)).is_ok(), "what is refused costs nothing");
        assert!(quotas.take(other, 11, at(100_000)).is_err(), "never more than the burst");
    }

    #[test]
    fn peers_that_rest_are_forgotten() {
        let mut quotas = Quotas::new(10, 2);
        for number in 0..=255 {
            quotas.take(NodeId::from_bytes([number; 32]), 1, at(u64::from(number))).unwrap();
        }
        quotas.forget(at(600));
        assert_eq!(quotas.len(), 155);
        quotas.forget(at(10_000));
        assert_eq!(quotas.len(), 0);
    }
}
