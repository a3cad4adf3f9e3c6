use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::{ManualClock, SystemClock};
use daa_core::limiter::testing::CountedBucket;
use daa_core::limiter::{FullAt, LimiterError, MemoryRateLimiter, Quota, RateLimiter, Verdict, decide};
use proptest::prelude::*;

fn fresh() -> ((), Arc<dyn RateLimiter>) {
    ((), Arc::new(MemoryRateLimiter::new(Arc::new(SystemClock::new()))))
}

daa_core::limiter_conformance!(fresh());

fn quotas() -> impl Strategy<Value = Quota> {
    let quota = (1_u32..50, 1_000_u64..100_000, 1_u32..20);
    let any = (1_u32..=1_000_000, 1_000_u64..=86_400_000_000, 1_u32..=1_000_000);
    prop_oneof![quota, any]
        .prop_map(|(tokens, span, burst)| Quota::new(tokens, Duration::from_micros(span)).with_burst(burst))
}

proptest! {
    #[test]
    fn decides_as_a_bucket_that_is_counted_for_any_quota_and_any_requests(
        quota in quotas(),
        requests in prop::collection::vec((0_u64..2_000_000, 1_u32..=1_000_000), 1..200),
    ) {
        let mut bucket = CountedBucket::new(quota);
        let (mut full_at, mut now) = (FullAt::default(), 1_700_000_000_000_000_u64);
        for (passed, tokens) in requests {
            // Some at the same moment, most around the time that a few tokens take.
            let token = quota.span().as_micros() as u64 / u64::from(quota.tokens());
            now += if passed.is_multiple_of(5) { 0 } else { passed % (3 * token + 2) };
            let tokens = NonZeroU32::new(1 + tokens % quota.burst().min(5)).unwrap();
            let (verdict, after) = decide(quota, full_at, now, tokens);
            full_at = after;
            prop_assert_eq!(verdict, bucket.take(Duration::from_micros(now), tokens.get()));
        }
    }

    #[test]
    fn a_clock_that_goes_back_never_locks_out_for_longer_than_the_bucket_takes(
        quota in quotas(), back in 1_u64..1_000_000_000_000,
    ) {
        let now = 1_700_000_000_000_000_u64;
        let burst = NonZeroU32::new(quota.burst()).unwrap();
        let (_, full_at) = decide(quota, FullAt::default(), now, burst);
        let (verdict, _) = decide(quota, full_at, now - back, burst);
        let refill = quota.span().as_micros() * u128::from(quota.burst());
        let longest = refill.div_ceil(u128::from(quota.tokens()));
        match verdict {
            Verdict::Refused { retry_after } => prop_assert!(retry_after.as_micros() <= longest),
            Verdict::Granted { .. } => prop_assert!(false, "what was taken is there again"),
        }
    }
}

#[tokio::test]
async fn a_full_bucket_is_forgotten_and_only_so_many_are_counted() {
    let clock = ManualClock::default();
    let limiter = MemoryRateLimiter::new(Arc::new(clock.clone()));
    let quota = Quota::new(1, Duration::from_secs(1));
    let take = async |n: u32| {
        let key = format!("{n}").try_into().unwrap();
        limiter.take(&key, quota, NonZeroU32::MIN).await
    };
    for n in 0..1 << 20 {
        assert!(take(n).await.unwrap().is_granted());
    }
    assert!(matches!(take(1 << 20).await, Err(LimiterError::TooManyKeys { .. })));
    assert!(!take(7).await.unwrap().is_granted());
    clock.advance(Duration::from_millis(1_001));
    assert!(take(1 << 20).await.unwrap().is_granted());
}
