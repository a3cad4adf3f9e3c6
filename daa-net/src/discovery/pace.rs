//! How often a peer may cost this node something, and all of them together.

use daa_core::clock::Timestamp;

use crate::node_id::NodeId;
use crate::quota::{Quotas, Rate, Taken};

/// What each peer has taken of its rate, and all of them together of theirs.
#[derive(Debug)]
pub(super) struct Pace {
    peers: Quotas,
    all: Rate,
    together: Taken,
}

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
    pub(super) fn new(peer: Rate, all: Rate) -> Self {
        Self { peers: Quotas::new(peer), all, together: Taken::default() }
    }

    /// Whether this peer may do it once more, which then counts.
    pub(super) fn take(&mut self, peer: NodeId, now: Timestamp) -> Paced {
        if !self.peers.has(&peer, 1, now) {
            return Paced::TooOften;
        }
        match self.together.and(1, self.all, now) {
            Some(together) if self.peers.take(peer, 1, now).is_ok() => {
                self.together = together;
                Paced::Allowed
            }
            _ => Paced::Crowded,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::number as peer;
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

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
    fn who_is_refused_because_of_others_has_lost_nothing() {
        let once = Rate { each: MS * 1_000_000, burst: 1 };
        let mut pace = Pace::new(once, Rate { each: MS * 10, burst: 1 });
        assert_eq!(pace.take(peer(1), NOW), Paced::Allowed);
        assert_eq!(pace.take(peer(2), NOW), Paced::Crowded);
        assert_eq!(pace.take(peer(2), NOW + MS * 10), Paced::Allowed);
    }

    #[test]
    fn all_together_are_held_to_a_rate_too() {
        let rate = Rate { each: MS * 100, burst: 5 };
        let mut pace = Pace::new(rate, Rate { each: MS * 10, burst: 20 });
        let allowed = (0..1_000).filter(|other| pace.take(peer(*other), NOW) == Paced::Allowed).count();
        assert_eq!(allowed, 20);
        assert_eq!(pace.take(peer(2_000), NOW), Paced::Crowded, "and that is nobody's fault");
    }
}
