//! How long answers take, and therefore how long to wait for one.

use std::time::Duration;

/// What is waited before anything is known: RFC 6298 says one second.
const FIRST: Duration = Duration::from_secs(1);
const LEAST: Duration = Duration::from_millis(20);

/// After this long an answer does not come any more.
pub(super) const HARD: Duration = Duration::from_secs(5);

/// A smoothed time and its variation, as in RFC 6298 (§2), without the backoff: who does not answer in time is not asked
/// again but another one is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTrip(Option<(Duration, Duration)>);

impl RoundTrip {
    pub(super) fn sample(&mut self, taken: Duration) {
        let taken = taken.min(HARD);
        self.0 = Some(match self.0 {
            None => (taken, taken / 2),
            Some((mean, variation)) => {
                let off = mean.abs_diff(taken);
                ((mean * 7 + taken) / 8, (variation * 3 + off) / 4)
            }
        });
    }

    /// After this long another one is asked too, which costs a message; who is slow may still answer. At least a quarter more
    /// than the mean, however even the times are.
    pub(super) fn patience(&self) -> Duration {
        let Some((mean, variation)) = self.0 else { return FIRST };
        (mean + variation * 4).max(mean * 5 / 4).clamp(LEAST, HARD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn patience_follows_what_is_seen() {
        let mut trip = RoundTrip::default();
        assert_eq!(trip.patience(), FIRST);
        for _ in 0..50 {
            trip.sample(MS * 50);
        }
        assert_eq!(trip.patience().as_millis(), 62);
        for _ in 0..50 {
            trip.sample(MS * 400);
        }
        assert!(trip.patience() >= MS * 480, "{:?}", trip.patience());
        for _ in 0..50 {
            trip.sample(MS * 60_000);
        }
        assert_eq!(trip.patience(), HARD);
        for _ in 0..200 {
            trip.sample(Duration::ZERO);
        }
        assert_eq!(trip.patience(), LEAST);
    }
}
