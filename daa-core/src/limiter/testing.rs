//! The conformance suite of [`RateLimiter`]: one function for each behaviour of the contract.
//!
//! [`limiter_conformance!`](crate::limiter_conformance) makes a test of each, so that a failure has a name:
//!
//! ```
//! # mod example {
//! use std::sync::Arc;
//! use daa_core::clock::SystemClock;
//! use daa_core::limiter::{MemoryRateLimiter, RateLimiter};
//!
//! /// A fresh limiter, and whatever must live as long as it.
//! async fn fresh() -> ((), Arc<dyn RateLimiter>) {
//!     ((), Arc::new(MemoryRateLimiter::new(Arc::new(SystemClock::new()))))
//! }
//!
//! daa_core::limiter_conformance!(fresh().await);
//! # }
//! ```
//!
//! Every function takes a limiter of which every bucket is full, and panics when a promise is broken. They need a
//! multi-threaded tokio runtime with timers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a suite fails by panicking")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{Decision, LimiterError, Quota, RateLimiter, Verdict};
use crate::id::LimitKey;

/// The limiter under test.
pub type Shared = Arc<dyn RateLimiter>;

/// Makes a `#[tokio::test]` of each behaviour. The expression is evaluated once per test, and yields
/// `(guard, Arc<dyn RateLimiter>)`; the guard is dropped after the limiter.
#[macro_export]
macro_rules! limiter_conformance {
    ($fresh:expr) => {
        $crate::limiter_conformance! { @tests $fresh;
            grants_a_burst_and_then_refuses
            keys_are_independent
            takes_all_or_nothing
            refuses_what_could_never_be_granted
            grants_again_after_the_time_it_told
            decides_as_a_bucket_that_is_counted
            decides_as_a_bucket_that_is_counted_when_many_ask_at_once
            another_quota_keeps_what_was_taken
        }
    };
    (@tests $fresh:expr; $($behaviour:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            let (_guard, limiter) = $fresh;
            $crate::limiter::testing::$behaviour(limiter).await;
        }
    )*};
}

/// A bucket that is counted in another way than [`decide`](super::decide) does: by what is in it. It holds
/// `burst` tokens of `span` parts each, and `tokens` parts come back in each microsecond.
#[derive(Debug)]
pub struct CountedBucket {
    quota: Quota,
    parts: u128,
    at: u128,
}

impl CountedBucket {
    /// A full one.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        let parts = u128::from(quota.burst()) * quota.span().as_micros();
        Self { quota, parts, at: 0 }
    }

    /// What must be decided at `at`, which never goes back.
    pub fn take(&mut self, at: Duration, tokens: u32) -> Verdict {
        let token = self.quota.span().as_micros();
        let back = (at.as_micros() - self.at) * u128::from(self.quota.tokens());
        self.parts = (self.parts + back).min(u128::from(self.quota.burst()) * token);
        self.at = at.as_micros();
        let wanted = u128::from(tokens) * token;
        if wanted > self.parts {
            let missing = (wanted - self.parts).div_ceil(u128::from(self.quota.tokens()));
            return Verdict::Refused { retry_after: Duration::from_micros(missing.try_into().unwrap()) };
        }
        self.parts -= wanted;
        Verdict::Granted { left: (self.parts / token).try_into().unwrap() }
    }
}

fn key(text: &str) -> LimitKey {
    LimitKey::new(text).unwrap()
}

async fn take(limiter: &Shared, name: &str, quota: Quota, tokens: u32) -> Decision {
    limiter.take(&key(name), quota, NonZeroU32::new(tokens).unwrap()).await.unwrap()
}

const HOUR: Duration = Duration::from_secs(3_600);

/// As many as the bucket holds.
pub async fn grants_a_burst_and_then_refuses(limiter: Shared) {
    for (name, quota) in [("a", Quota::new(5, HOUR)), ("b", Quota::new(1, HOUR).with_burst(5))] {
        for left in (0..5).rev() {
            assert_eq!(take(&limiter, name, quota, 1).await.verdict, Verdict::Granted { left }, "{name}");
        }
        let refused = take(&limiter, name, quota, 1).await.verdict;
        let Verdict::Refused { retry_after } = refused else { panic!("{name}: {refused:?}") };
        let most = HOUR / quota.tokens();
        assert!(
            retry_after <= most && retry_after > most - Duration::from_secs(60),
            "{name}: {retry_after:?}"
        );
    }
}

/// One's burst is not the other's.
pub async fn keys_are_independent(limiter: Shared) {
    let quota = Quota::new(1, HOUR);
    for name in ["a", "a/b", "b"] {
        assert!(take(&limiter, name, quota, 1).await.is_granted(), "{name}");
        assert!(!take(&limiter, name, quota, 1).await.is_granted(), "{name}");
    }
}

/// A refusal costs nothing.
pub async fn takes_all_or_nothing(limiter: Shared) {
    let quota = Quota::new(10, HOUR);
    assert_eq!(take(&limiter, "a", quota, 7).await.verdict, Verdict::Granted { left: 3 });
    for _ in 0..5 {
        assert!(!take(&limiter, "a", quota, 4).await.is_granted());
    }
    assert_eq!(take(&limiter, "a", quota, 3).await.verdict, Verdict::Granted { left: 0 });
}

/// More than the bucket holds is the caller's mistake.
pub async fn refuses_what_could_never_be_granted(limiter: Shared) {
    let quota = Quota::new(10, HOUR).with_burst(3);
    let refused = limiter.take(&key("a"), quota, NonZeroU32::new(4).unwrap()).await;
    assert!(matches!(refused, Err(LimiterError::BeyondBurst { burst: 3, .. })), "{refused:?}");
    assert_eq!(take(&limiter, "a", quota, 3).await.verdict, Verdict::Granted { left: 0 });
}

/// Not before, and then at once.
pub async fn grants_again_after_the_time_it_told(limiter: Shared) {
    let quota = Quota::new(2, Duration::from_millis(400));
    let mut granted = vec![take(&limiter, "a", quota, 2).await.at];
    while granted.len() < 4 {
        let decision = take(&limiter, "a", quota, 1).await;
        match decision.verdict {
            Verdict::Granted { .. } => granted.push(decision.at),
            Verdict::Refused { retry_after } => tokio::time::sleep(retry_after).await,
        }
    }
    for (one, next) in granted.iter().zip(granted.iter().skip(1)) {
        assert!(*next - *one < Duration::from_secs(10), "{granted:?}");
    }
    let first = granted.first().copied().unwrap();
    for (n, at) in (1..).zip(granted.iter().skip(1)) {
        assert!(*at - first >= Duration::from_millis(200) * n, "{granted:?}");
    }
}

/// Quotas whose intervals are no whole number of microseconds, among others.
fn odd_quotas() -> [Quota; 4] {
    [
        Quota::new(3, Duration::from_millis(10)),
        Quota::new(7, Duration::from_millis(1)).with_burst(50),
        Quota::new(999, Duration::from_millis(101)).with_burst(20),
        Quota::new(1, Duration::from_millis(3)).with_burst(2),
    ]
}

/// Decision by decision, at the times that the limiter says.
pub async fn decides_as_a_bucket_that_is_counted(limiter: Shared) {
    for (n, quota) in odd_quotas().into_iter().enumerate() {
        let (name, mut bucket) = (format!("{n}"), CountedBucket::new(quota));
        let (mut granted, mut refused) = (0, 0);
        for n in 0..400 {
            let tokens = 1 + n % 3 % quota.burst();
            let decision = take(&limiter, &name, quota, tokens).await;
            assert_eq!(decision.verdict, bucket.take(decision.at, tokens), "{quota:?}, request {n}");
            *if decision.is_granted() { &mut granted } else { &mut refused } += 1;
            if n % 50 == 49 {
                tokio::time::sleep(Duration::from_millis(n.into()) / 20).await;
            }
        }
        assert!(granted > 0 && granted + refused == 400, "{quota:?}: {granted} of 400");
    }
}

/// Those of one moment in the order in which the bucket empties.
pub async fn decides_as_a_bucket_that_is_counted_when_many_ask_at_once(limiter: Shared) {
    for (n, quota) in odd_quotas().into_iter().enumerate() {
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let (limiter, name) = (limiter.clone(), format!("{n}"));
                tokio::spawn(async move {
                    let mut decisions = Vec::new();
                    for _ in 0..100 {
                        decisions.push(take(&limiter, &name, quota, 1).await);
                    }
                    decisions
                })
            })
            .collect();
        let mut decisions = Vec::new();
        for asked in asking {
            decisions.extend(asked.await.unwrap());
        }
        decisions.sort_by_key(|decision| match decision.verdict {
            Verdict::Granted { left } => (decision.at, false, u32::MAX - left),
            Verdict::Refused { .. } => (decision.at, true, 0),
        });
        let mut bucket = CountedBucket::new(quota);
        for (n, decision) in decisions.into_iter().enumerate() {
            assert_eq!(decision.verdict, bucket.take(decision.at, 1), "{quota:?}, request {n}");
        }
    }
}

/// Changing the quota is no way to get more.
pub async fn another_quota_keeps_what_was_taken(limiter: Shared) {
    assert!(take(&limiter, "a", Quota::new(7, HOUR), 7).await.is_granted());
    assert!(!take(&limiter, "a", Quota::new(5, HOUR), 1).await.is_granted());
    let wider = Quota::new(7, HOUR).with_burst(9);
    let decision = take(&limiter, "a", wider, 2).await.verdict;
    assert!(matches!(decision, Verdict::Granted { left: 0 } | Verdict::Refused { .. }), "{decision:?}");
}
