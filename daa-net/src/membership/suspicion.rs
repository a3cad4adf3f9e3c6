//! How long a member is suspect: the more others suspect it too, the shorter (Lifeguard, Dadgar et al. 2018, §IV-B).

use std::collections::BTreeSet;
use std::time::Duration;

use daa_core::clock::Timestamp;

use crate::node_id::NodeId;

/// So many others, each by itself, make it as short as it gets.
const ACCUSERS: usize = 3;
/// The shortest suspicion, in probe intervals, for ten members; for a hundred twice as many.
const SHORTEST: f64 = 4.0;
/// The longest one is so many times the shortest.
const LONGEST: f64 = 6.0;

#[derive(Debug)]
pub(super) struct Suspicion {
    begun: Timestamp,
    /// Who has said to us that it does not reach the member either. What is passed on of others does not count.
    accusers: BTreeSet<NodeId>,
    shortest: Duration,
    /// A last probe is under way.
    pub(super) is_last_probe: bool,
}

impl Suspicion {
    pub(super) fn new(now: Timestamp, members: usize, probe_interval: Duration) -> Self {
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        let shortest = probe_interval.mul_f64(SHORTEST * f64::from(members).log10().max(1.0));
        Self { begun: now, accusers: BTreeSet::new(), shortest, is_last_probe: false }
    }

    pub(super) fn accuse(&mut self, accuser: NodeId) {
        if self.accusers.len() < ACCUSERS {
            self.accusers.insert(accuser);
        }
    }

    pub(super) fn end(&self) -> Timestamp {
        let share = (self.accusers.len() as f64 + 1.0).ln() / (ACCUSERS as f64 + 1.0).ln();
        let factor = LONGEST - (LONGEST - 1.0) * share;
        self.begun + self.shortest.mul_f64(factor.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accusers_make_it_shorter_down_to_the_shortest_and_count_once() {
        let begun = Timestamp::from_millis(1_000_000);
        let lasts = |accusers: &[u8], members| {
            let mut suspicion = Suspicion::new(begun, members, Duration::from_secs(1));
            for accuser in accusers {
                suspicion.accuse(NodeId::from_bytes([*accuser; 32]));
            }
            suspicion.end().since(begun).as_millis()
        };
        assert_eq!(lasts(&[], 10), 24_000);
        assert_eq!(lasts(&[1], 10), 14_000);
        assert_eq!(lasts(&[1, 1, 1, 1], 10), 14_000);
        assert!(lasts(&[1, 2], 10) < 10_000);
        assert_eq!(lasts(&[1, 2, 3], 10), 4_000);
        assert_eq!(lasts(&[1, 2, 3, 4, 5], 10), 4_000);
        assert_eq!(lasts(&[1, 2, 3], 100), 8_000);
        assert_eq!(lasts(&[1, 2, 3], 2), 4_000);
    }
}
