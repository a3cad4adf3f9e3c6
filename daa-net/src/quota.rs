//! How much a peer may ask of us, or all of a subnet; and how much this node asks of others.

use std::collections::BTreeMap;
use std::time::Duration;

use daa_core::clock::Timestamp;

use crate::machine::MessageError;
use crate::node_id::NodeId;

/// The most peers that are counted at once. Peers beyond them are refused.
const PEERS: usize = 10_000;

/// A rate: one token in so long, and so many of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) each: Duration,
    pub(crate) burst: u64,
}

impl Rate {
    /// So many tokens a second, at least one, and so many at once.
    pub(crate) const fn per_second(tokens: u64, burst: u64) -> Self {
        let tokens = if tokens == 0 { 1 } else { tokens };
        Self { each: Duration::from_nanos(1_000_000_000 / tokens), burst }
    }
}

/// What was taken of a rate: until when it is paid for, in nanoseconds. The generic cell rate algorithm, of which the state is one
/// moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken(u128);

impl Taken {
    /// Takes so many tokens, if they are there; what was taken then.
    pub(crate) fn and(self, tokens: u64, rate: Rate, now: Timestamp) -> Option<Self> {
        let (now, each) = (nanos(now), rate.each.as_nanos());
        let paid = self.0.max(now).saturating_add(each.saturating_mul(tokens.into()));
        (paid - now <= each.saturating_mul(rate.burst.into())).then_some(Self(paid))
    }

    /// From when on a token is there.
    pub(crate) fn ready(self, rate: Rate) -> Timestamp {
        let ahead = rate.each.as_nanos().saturating_mul(rate.burst.saturating_sub(1).into());
        let millis = self.0.saturating_sub(ahead).div_ceil(1_000_000);
        Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    fn is_paid(self, now: Timestamp) -> bool {
        self.0 <= nanos(now)
    }
}

fn nanos(at: Timestamp) -> u128 {
    u128::from(at.as_millis()) * 1_000_000
}

/// A rate for each peer. Those that have taken nothing lately are forgotten.
#[derive(Debug)]
pub(crate) struct Quotas<K = NodeId> {
    rate: Rate,
    taken: BTreeMap<K, Taken>,
}

impl<K: Ord> Quotas<K> {
    pub(crate) const fn new(rate: Rate) -> Self {
        Self { rate, taken: BTreeMap::new() }
    }

    /// Takes so many tokens of a peer. What is refused costs nothing.
    pub(crate) fn take(&mut self, peer: K, tokens: u64, now: Timestamp) -> Result<(), MessageError> {
        if !self.has_room(&peer, now) {
            return Err(MessageError { what: "more peers than can be counted" });
        }
        let taken =
            self.after(&peer, tokens, now).ok_or(MessageError { what: "more than a peer may ask" })?;
        self.taken.insert(peer, taken);
        Ok(())
    }

    /// Whether a peer has so many tokens left.
    pub(crate) fn has(&self, peer: &K, tokens: u64, now: Timestamp) -> bool {
        self.after(peer, tokens, now).is_some()
    }

    fn after(&self, peer: &K, tokens: u64, now: Timestamp) -> Option<Taken> {
        self.taken.get(peer).copied().unwrap_or_default().and(tokens, self.rate, now)
    }

    /// Whether a peer is counted, or can be.
    fn has_room(&mut self, peer: &K, now: Timestamp) -> bool {
        if self.taken.len() >= PEERS && !self.taken.contains_key(peer) {
            self.forget(now);
        }
        self.taken.len() < PEERS || self.taken.contains_key(peer)
    }

    /// Forgets the peers that have all their tokens.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        self.taken.retain(|_, taken| !taken.is_paid(now));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.taken.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn peer(number: u32) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    #[test]
    fn a_peer_has_a_burst_and_a_rate() {
        let (one, other) = (peer(1), peer(2));
        let mut quotas = Quotas::new(Rate::per_second(2, 10));
        assert!((0..10).all(|_| quotas.take(one, 1, at(0)).is_ok()));
        assert!(quotas.take(one, 1, at(499)).is_err());
        assert!(quotas.take(other, 10, at(0)).is_ok(), "each has its own");
        assert!(quotas.take(one, 1, at(500)).is_ok());
        assert!(quotas.take(one, 3, at(1_500)).is_err());
        assert!(quotas.take(one, 2, at(1_500)).is_ok(), "what is refused costs nothing");
        assert!(quotas.take(other, 11, at(100_000)).is_err(), "never more than the burst");
    }

    #[test]
    fn a_rate_need_not_be_one_of_milliseconds() {
        let mut quotas = Quotas::new(Rate::per_second(4_096, 16_384));
        assert!(quotas.take(peer(1), 16_384, at(0)).is_ok());
        assert!(quotas.take(peer(1), 4_096, at(999)).is_err());
        assert!(quotas.take(peer(1), 4_096, at(1_000)).is_ok());
    }

    #[test]
    fn it_is_known_when_there_is_a_token_again() {
        let rate = Rate { each: Duration::from_millis(50), burst: 3 };
        let mut taken = Taken::default();
        for _ in 0..3 {
            taken = taken.and(1, rate, at(0)).unwrap();
        }
        assert_eq!(taken.ready(rate), at(50));
        assert_eq!(taken.and(1, rate, at(49)), None);
        assert!(taken.and(1, rate, at(50)).is_some());
    }

    #[test]
    fn peers_that_rest_are_forgotten() {
        let mut quotas = Quotas::new(Rate::per_second(2, 10));
        for number in 0..=255 {
            quotas.take(peer(number), 1, at(u64::from(number))).unwrap();
        }
        quotas.forget(at(600));
        assert_eq!(quotas.len(), 155);
        quotas.forget(at(10_000));
        assert_eq!(quotas.len(), 0);
    }

    #[test]
    fn so_many_peers_are_counted_and_no_more_until_one_of_them_rests() {
        let mut quotas = Quotas::new(Rate::per_second(2, 10));
        let crowd = PEERS as u32 + 1;
        assert_eq!((0..crowd).filter(|number| quotas.take(peer(*number), 1, at(0)).is_ok()).count(), PEERS);
        assert!(quotas.take(peer(1), 1, at(0)).is_ok());
        assert!(quotas.take(peer(crowd), 1, at(600)).is_ok());
        assert_eq!(quotas.len(), 2);
    }
}
