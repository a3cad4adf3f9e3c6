//! Packets on their way: each takes the same time, and some are lost. Time is given, and so is chance.

use std::collections::VecDeque;
use std::time::Duration;

use daa_core::seed::{Rng, Seed};
use rand_core::Rng as _;

/// How many packets are on their way at most; those beyond are lost, as in any queue.
const ROOM: usize = 65_536;

/// What a line is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// From one end to the other.
    pub(crate) delay: Duration,
    /// How many of a million packets are lost.
    pub(crate) loss: u32,
}

/// Packets on their way.
#[derive(Debug)]
pub(crate) struct Wire {
    weather: Weather,
    rng: Rng,
    way: VecDeque<(Duration, Vec<u8>)>,
    taken: u64,
    lost: u64,
}

impl Wire {
    pub(crate) fn new(weather: Weather, seed: Seed) -> Self {
        Self { weather, rng: seed.child("wire").rng(), way: VecDeque::new(), taken: 0, lost: 0 }
    }

    /// A packet begins its way.
    pub(crate) fn push(&mut self, packet: &[u8], now: Duration) {
        self.taken += 1;
        if self.rng.next_u32() % 1_000_000 < self.weather.loss || self.way.len() >= ROOM {
            self.lost += 1;
        } else {
            self.way.push_back((now + self.weather.delay, packet.to_vec()));
        }
    }

    /// When the next packet arrives.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.way.front().map(|(due, _)| *due)
    }

    /// A packet that has arrived.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.way.pop_front_if(|(due, _)| *due <= now).map(|(_, packet)| packet)
    }

    /// How many packets began their way, and how many of them were lost.
    pub(crate) const fn counts(&self) -> (u64, u64) {
        (self.taken, self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn packets_arrive_in_order_and_not_before_their_time() {
        let mut wire = Wire::new(Weather { delay: 25 * MS, loss: 0 }, Seed::from_u64(1));
        wire.push(b"a", Duration::ZERO);
        wire.push(b"b", 10 * MS);
        assert_eq!((wire.next(), wire.pop(24 * MS)), (Some(25 * MS), None));
        assert_eq!(wire.pop(30 * MS).unwrap(), b"a");
        assert_eq!(wire.pop(30 * MS), None);
        assert_eq!(wire.pop(35 * MS).unwrap(), b"b");
        assert_eq!((wire.next(), wire.counts()), (None, (2, 0)));
    }

    #[test]
    fn as_many_are_lost_as_was_said_and_the_same_for_the_same_seed() {
        let lost = |seed| {
            let mut wire = Wire::new(Weather { delay: MS, loss: 10_000 }, Seed::from_u64(seed));
            let is_lost = |number: &u32| {
                wire.push(&number.to_le_bytes(), MS * *number);
                wire.pop(MS * (*number + 1)).is_none()
            };
            (0..20_000).filter(is_lost).collect::<Vec<u32>>()
        };
        assert!((150..=250).contains(&lost(1).len()), "{}", lost(1).len());
        assert_eq!(lost(1), lost(1));
        assert_ne!(lost(1), lost(2));
    }
}
