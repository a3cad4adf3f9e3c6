//! A value in the first level, and when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::epochs::Epoch;
use crate::clock::Timestamp;
use crate::id::CacheTag;

/// −ln of the smallest number that `uniform` of the front gives: no draw refreshes earlier than so many times
/// the cost of a load.
const LARGEST_DRAW: f64 = 37.0;

#[derive(Debug)]
pub(super) struct Slot<V> {
    pub(super) value: Option<V>,
    pub(super) life: Life,
    pub(super) tags: Arc<[CacheTag]>,
    /// Before this, nothing is left to chance.
    calm_until: Timestamp,
    /// Up to which invalidations it is known to be untouched.
    epoch: AtomicU64,
    /// Before this, no further load is begun while there is this value to go on with.
    paused_until: AtomicU64,
}

/// When a value ends, and what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) until: Timestamp,
    pub(super) cost: Duration,
}

impl Life {
    /// Whether a refresh begins now, for `uniform` in 0 (exclusive) to 1: XFetch, algorithm 2.
    pub(super) fn is_early(self, now: Timestamp, eagerness: f64, uniform: f64) -> bool {
        now + ahead(self.cost, eagerness, -uniform.ln()) >= self.until
    }

    /// The last moment at which no draw begins a refresh.
    fn calm_until(self, eagerness: f64) -> Timestamp {
        let ahead = ahead(self.cost, eagerness, LARGEST_DRAW);
        let ahead = u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(self.until.as_millis().saturating_sub(ahead))
    }
}

fn ahead(cost: Duration, eagerness: f64, draw: f64) -> Duration {
    Duration::try_from_secs_f64(cost.as_secs_f64() * eagerness * draw.clamp(0.0, LARGEST_DRAW))
        .unwrap_or(Duration::MAX)
}

impl<V> Slot<V> {
    pub(super) fn new(
        value: Option<V>,
        life: Life,
        tags: Arc<[CacheTag]>,
        epoch: Epoch,
        eagerness: f64,
    ) -> Self {
        let calm_until = life.calm_until(eagerness);
        let epoch = AtomicU64::new(epoch.get());
        Self { value, life, tags, calm_until, epoch, paused_until: AtomicU64::new(0) }
    }

    pub(super) fn is_calm(&self, now: Timestamp) -> bool {
        now < self.calm_until
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch::new(self.epoch.load(Ordering::Relaxed))
    }

    /// Remembers that it is untouched up to `epoch`.
    pub(super) fn untouched(&self, epoch: Epoch) {
        self.epoch.fetch_max(epoch.get(), Ordering::Relaxed);
    }

    pub(super) fn is_paused(&self, now: Timestamp) -> bool {
        now.as_millis() < self.paused_until.load(Ordering::Relaxed)
    }

    pub(super) fn pause(&self, until: Timestamp) {
        self.paused_until.fetch_max(until.as_millis(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Timestamp = Timestamp::from_millis;

    #[test]
    fn refreshes_earlier_the_more_a_load_costs() {
        let life = |cost| Life { until: AT(10_000), cost: Duration::from_millis(cost) };
        // −ln(e⁻²) = 2.
        let draw = (-2.0_f64).exp();
        for (cost, first) in [(100, 9_800), (1_000, 8_000)] {
            assert!(!life(cost).is_early(AT(first - 1), 1.0, draw), "{cost}");
            assert!(life(cost).is_early(AT(first), 1.0, draw), "{cost}");
            assert!(!life(cost).is_early(AT(9_999), 0.0, draw), "{cost}");
        }
        assert!(life(100).is_early(AT(10_000), 0.0, draw));
    }

    #[test]
    fn nothing_is_left_to_chance_while_it_is_calm() {
        let life = Life { until: AT(10_000), cost: Duration::from_millis(10) };
        let slot = Slot::new(Some(()), life, Arc::new([]), Epoch::new(0), 1.0);
        assert!(slot.is_calm(AT(10_000 - 371)));
        assert!(!slot.is_calm(AT(10_000 - 370)));
        assert!(!life.is_early(AT(10_000 - 371), 1.0, f64::MIN_POSITIVE));
    }

    proptest::proptest! {
        /// Where the paper puts it: the share of draws that refresh at the distance *d* is e^(−d ÷ (cost · β)).
        #[test]
        fn draws_are_as_frequent_as_xfetch_says(distance in 1_u64..4_000, cost in 1_u64..1_000) {
            let life = Life { until: AT(10_000), cost: Duration::from_millis(cost) };
            let now = AT(10_000 - distance);
            let early = (1..=1_000).filter(|n| life.is_early(now, 1.0, f64::from(*n) / 1_000.0)).count();
            let expected = 1_000.0 * (-(distance as f64) / cost as f64).exp();
            // Whole milliseconds round a draw down by less than one.
            let slack = expected * (1.0 - (-1.0 / cost as f64).exp()) + 2.0;
            proptest::prop_assert!((early as f64 - expected).abs() <= slack, "{} and {}", early, expected);
        }
    }
}
