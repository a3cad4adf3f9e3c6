//! How long a refused message waits.

use std::time::Duration;

/// How long a refused message waits before it comes again: twice as long each time, up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// The same wait every time.
    #[must_use]
    pub const fn constant(wait: Duration) -> Self {
        Self { first: wait, longest: wait }
    }

    /// Waits `first` after the first refusal, twice as long after each further one, and never longer than
    /// `longest`.
    #[must_use]
    pub fn doubling(first: Duration, longest: Duration) -> Self {
        Self { first, longest: longest.max(first) }
    }

    /// The wait after the `attempt`-th delivery was refused, counted from 1.
    #[must_use]
    pub fn after(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// The wait after the first refusal.
    #[must_use]
    pub const fn first(&self) -> Duration {
        self.first
    }

    /// The longest wait.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn doubles_up_to_the_longest_wait() {
        let backoff = Backoff::doubling(10 * MS, 70 * MS);
        let waits = [1, 2, 3, 4, 5, 33, u32::MAX].map(|attempt| backoff.after(attempt));
        assert_eq!(waits, [10 * MS, 20 * MS, 40 * MS, 70 * MS, 70 * MS, 70 * MS, 70 * MS]);
        assert_eq!(Backoff::doubling(10 * MS, MS).after(9), 10 * MS);
    }
}
