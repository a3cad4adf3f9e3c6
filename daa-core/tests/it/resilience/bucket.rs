use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::resilience::{RatePolicy, TokenBucket};
use proptest::prelude::*;

/// A bucket that is filled step by step and may be overdrawn; all in nanoseconds' worth of tokens.
struct Model {
    level: i128,
    full: i128,
    token: i128,
    max_wait: i128,
    now: i128,
}

impl Model {
    fn take(&mut self, now: u64) -> Result<u64, u64> {
        let nanos = i128::from(now) * 1_000_000;
        self.level = (self.level + nanos - self.now).min(self.full);
        self.now = nanos;
        let missing = (self.token - self.level).max(0);
        let wait = u64::try_from((missing + 999_999) / 1_000_000).unwrap();
        if i128::from(wait) > self.max_wait {
            return Err(wait);
        }
        self.level -= self.token;
        Ok(now + wait)
    }
}

proptest! {
    #[test]
    fn behaves_like_a_bucket_that_is_filled_and_drawn_from(
        actions in 1..50u32,
        span in 1..2_000u64,
        burst in 1..6u32,
        max_wait in 0..300u64,
        pauses in prop::collection::vec(0..200u64, 1..100),
    ) {
        let policy = RatePolicy::new(actions, Duration::from_millis(span))
            .with_burst(burst)
            .with_max_wait(Duration::from_millis(max_wait));
        let mut bucket = TokenBucket::new(policy);
        let token = (i128::from(span) * 1_000_000 + i128::from(actions) - 1) / i128::from(actions);
        let full = token * i128::from(burst);
        let mut model = Model { level: full, full, token, max_wait: max_wait.into(), now: 0 };
        let mut now = 0;
        for pause in pauses {
            now += pause;
            let taken = bucket.take(Timestamp::from_millis(now));
            let expected = model.take(now);
            prop_assert_eq!(taken, expected.map(Timestamp::from_millis).map_err(Duration::from_millis));
        }
    }

    #[test]
    fn never_more_than_a_burst_and_the_rate_in_any_window(
        actions in 1..20u32,
        burst in 1..6u32,
        pauses in prop::collection::vec(0..100u64, 1..100),
    ) {
        let policy = RatePolicy::new(actions, Duration::from_secs(1))
            .with_burst(burst)
            .with_max_wait(Duration::from_millis(500));
        let mut bucket = TokenBucket::new(policy);
        let mut now = 0;
        let mut used = Vec::new();
        for pause in pauses {
            now += pause;
            used.extend(bucket.take(Timestamp::from_millis(now)).map(Timestamp::as_millis));
        }
        for (first, start) in used.iter().enumerate() {
            for (last, end) in used.iter().enumerate().skip(first) {
                // One more, because use is rounded to whole milliseconds.
                let allowed = u64::from(burst) + (end - start + 1) * u64::from(actions) / 1_000;
                prop_assert!((last - first) as u64 <= allowed);
            }
        }
    }
}
