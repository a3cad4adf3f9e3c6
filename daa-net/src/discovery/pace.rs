//! How often a peer may cost this node something.

use std::collections::BTreeMap;
use std::time::Duration;

use daa_core::clock::Timestamp;

use crate::node_id::NodeId;

/// A rate, and how much of it may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) each: Duration,
    pub(super) burst: u32,
}

/// How far each peer is ahead of its rate, and all of them together are of theirs: the generic cell rate algorithm, of
/// which the state is one moment for each. Peers that are not ahead are not remembered.
#[derive(Debug)]
pub(super) struct Pace {
    peer: Rate,
    all: Rate,
    peers: BTreeMap<NodeId, Timestamp>,
    together: Timestamp,
}

/// How many peers are remembered; beyond that there is none more.
const PEERS: usize = 4_096;

/// Whether a peer may do something once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paced {
    Allowed,
    /// It does so too often.
    TooOften,
    /// All of them together do: that is not this peer's fault.
    Crowded,
}

impl Pace {
    pub(super) const fn new(peer: Rate, all: Rate) -> Self {
        Self { peer, all, peers: BTreeMap::new(), together: Timestamp::EPOCH }
    }

    /// Whether this peer may do it once more, which then counts.
    pub(super) fn take(&mut self, peer: NodeId, now: Timestamp) -> Paced {
        if self.peers.len() >= PEERS {
            self.peers.retain(|_, ahead| *ahead > now);
        }
        let known = self.peers.get(&peer).copied();
        let Some(own) = next(known.unwrap_or_default(), self.peer, now) else { return Paced::TooOften };
        match next(self.together, self.all, now) {
            Some(together) if known.is_some() || self.peers.len() < PEERS => {
                self.peers.insert(peer, own);
                self.together = together;
                Paced::Allowed
            }
            _ => Paced::Crowded,
        }
    }
}

/// When this would be paid for, if it may come now.
fn next(ahead: Timestamp, rate: Rate, now: Timestamp) -> Option<Timestamp> {
    let next = ahead.max(now) + rate.each;
    (next.since(now) <= rate.each * rate.burst.max(1)).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn peer(number: u32) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    #[test]
    fn who_floods_is_held_to_the_rate_and_others_are_not() {
        let rate = Rate { each: MS * 100, burst: 5 };
        let mut pace = Pace::new(rate, Rate { each: MS, burst: 10_000 });
        let allowed = (0..1_000).filter(|ms| pace.take(peer(1), NOW + MS * *ms) == Paced::Allowed).count();
        assert_eq!(allowed, 5 + 9, "five at once, and ten a second from then on");
        assert_eq!(pace.take(peer(1), NOW + MS * 999), Paced::TooOften);
        assert_eq!(pace.take(peer(2), NOW + MS * 999), Paced::Allowed);
    }

    #[test]
    fn all_together_are_held_to_a_rate_too_and_to_an_amount_of_memory() {
        let rate = Rate { each: MS * 100, burst: 5 };
        let mut pace = Pace::new(rate, Rate { each: MS * 10, burst: 20 });
        let allowed = |pace: &mut Pace, count| {
            (0..count).filter(|other| pace.take(peer(*other), NOW) == Paced::Allowed).count()
        };
        assert_eq!(allowed(&mut pace, 1_000), 20);
        assert_eq!(pace.take(peer(2_000), NOW), Paced::Crowded, "and that is nobody's fault");
        let mut pace = Pace::new(rate, Rate { each: Duration::ZERO, burst: 1 });
        let crowd = PEERS as u32 + 1;
        assert_eq!(allowed(&mut pace, crowd), PEERS);
        assert_eq!(pace.take(peer(crowd), NOW + MS * 100), Paced::Allowed, "when those before have paid");
        assert!(pace.peers.len() < 10);
    }
}
