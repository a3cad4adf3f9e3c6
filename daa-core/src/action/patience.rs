//! How long the gate goes on trying where others are faster: bounded, and fair to those who lose.

use std::time::Duration;

use rand::Rng as _;

use crate::clock::Clock;
use crate::digest::Digest;
use crate::seed::Seed;

/// How often an append is tried again when another writer was faster.
pub(crate) const MAX_CONFLICTS: u32 = 32;
/// So many are tried again at once: where few compete, it is over by then.
const AT_ONCE: u32 = 4;
/// The longest wait before the first try that is not made at once; each later one may be twice as long.
const FIRST: Duration = Duration::from_millis(2);
/// The longest wait of all.
const LONGEST: Duration = Duration::from_millis(250);

/// Counts what was lost to faster writers. After the first few times it waits, for a time that is drawn between nothing
/// and a bound that doubles: those who compete come apart, and whoever is new has no advantage that lasts.
///
/// What is drawn depends on what is asked for and on nothing else, so that a simulation can be repeated.
#[derive(Debug)]
pub(crate) struct Patience {
    seed: Seed,
    lost: u32,
}

impl Patience {
    /// For one who is told apart from those it competes with by `name`.
    pub(crate) fn of(name: &str) -> Self {
        Self {
            seed: Seed::from_digest(Digest::builder("daa patience v1").field(name.as_bytes()).finish()),
            lost: 0,
        }
    }

    /// How often it has lost.
    pub(crate) const fn lost(&self) -> u32 {
        self.lost
    }

    /// Another one was faster: waits, and answers whether to try again.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn again(&mut self, clock: &dyn Clock) -> bool {
        self.lost += 1;
        let wait = self.wait();
        if !wait.is_zero() {
            clock.sleep(wait).await;
        }
        self.lost < MAX_CONFLICTS
    }

    fn wait(&self) -> Duration {
        let Some(doublings) = self.lost.checked_sub(AT_ONCE) else { return Duration::ZERO };
        if self.lost >= MAX_CONFLICTS {
            return Duration::ZERO;
        }
        let longest = FIRST.saturating_mul(2u32.saturating_pow(doublings)).min(LONGEST);
        let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        // The bias of a remainder of 64 bits by 250 is of no consequence here.
        Duration::from_millis(self.seed.nth(self.lost.into()).rng().next_u64() % (millis + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(name: &str) -> Vec<Duration> {
        let of = |lost| Patience { lost, ..Patience::of(name) }.wait();
        (1..=MAX_CONFLICTS).map(of).collect()
    }

    #[test]
    fn waits_longer_and_longer_within_bounds_and_not_as_others_do() {
        let (one, other) = (waits("one"), waits("other"));
        assert_ne!(one, other);
        assert_eq!(one, waits("one"), "it can be repeated");
        assert!(one.iter().take(3).all(Duration::is_zero));
        assert!(one.iter().chain(&other).all(|wait| *wait <= LONGEST));
        assert!(one.iter().sum::<Duration>() < LONGEST * MAX_CONFLICTS);
        assert!(one.iter().skip(10).any(|wait| *wait > FIRST * 4));
    }
}
