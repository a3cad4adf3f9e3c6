//! Addresses that others say this node has: whoever identifies itself says one, strangers included.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use daa_core::clock::Timestamp;
use libp2p::Multiaddr;

use crate::quota::{Rate, Taken};

/// How many different ones are believed to be worth a look. Who looks at them (libp2p-autonat 0.16) never forgets one.
const NEW: Rate = Rate { each: Duration::from_secs(60), burst: 256 };

/// Which of them are passed on.
#[derive(Debug)]
pub(super) struct Candidates {
    known: HashSet<Multiaddr>,
    taken: Taken,
    began: Instant,
}

impl Candidates {
    pub(super) fn new() -> Self {
        Self { known: HashSet::new(), taken: Taken::default(), began: Instant::now() }
    }

    pub(super) fn takes(&mut self, address: &Multiaddr) -> bool {
        self.takes_after(address, self.began.elapsed())
    }

    fn takes_after(&mut self, address: &Multiaddr, passed: Duration) -> bool {
        if self.known.contains(address) {
            return true;
        }
        let Some(taken) = self.taken.and(1, NEW, Timestamp::EPOCH + passed) else { return false };
        self.taken = taken;
        self.known.insert(address.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_another_address_each_time_does_not_fill_the_memory() {
        let mut candidates = Candidates::new();
        let address = |number: u32| format!("/ip4/203.0.113.9/tcp/{number}").parse::<Multiaddr>().unwrap();
        let mut takes = |numbers: std::ops::Range<u32>, hours: u32| {
            let passed = Duration::from_secs(3_600) * hours;
            numbers.filter(|number| candidates.takes_after(&address(*number), passed)).count()
        };
        assert_eq!(takes(0..10_000, 0), 256);
        assert_eq!(takes(0..256, 0), 256, "those that are known are said again");
        assert_eq!(takes(10_000..20_000, 1), 60);
    }
}
