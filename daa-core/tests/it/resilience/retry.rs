use std::sync::Arc;
use std::time::Duration;

use daa_core::action::ExecuteError;
use daa_core::clock::ManualClock;
use daa_core::fault::Retry;
use daa_core::id::ActionId;
use daa_core::resilience::{ExecutorExt, RetryBudget, RetryPolicy};
use daa_core::seed::Seed;
use proptest::prelude::*;

use super::support::{Scripted, Slow, cause, gate, idle, interrupted, rejected, start, submit, unavailable};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn policy() -> RetryPolicy {
    RetryPolicy::new(Seed::from_u64(7))
}

fn later(span: Duration) -> Result<daa_core::action::Outcome, ExecuteError> {
    Err(ExecuteError::RateLimited { after: span })
}

#[tokio::test]
async fn tries_again_until_it_succeeds() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Scripted::new([unavailable(), unavailable()])));
    let gate = gate(&clock);
    let wrapped = Arc::new(executor.clone().retried(policy(), Arc::new(clock.clone())));
    let run = start(&gate, "a", &wrapped).await;
    for _ in 0..300 {
        clock.advance(MILLI);
        idle().await;
    }
    assert_eq!(run.await.unwrap().unwrap().outcome.output, "ok");
    assert_eq!(executor.calls(), 3);
}

#[tokio::test]
async fn tries_again_neither_what_may_have_taken_effect_nor_what_cannot_be_mended() {
    let clock = ManualClock::default();
    let gate = gate(&clock);
    for (id, result) in [interrupted(), rejected()].into_iter().enumerate() {
        let executor = Arc::new(Scripted::new([result]));
        let wrapped = executor.clone().retried(policy(), Arc::new(clock.clone()));
        cause(submit(&gate, id, &wrapped).await);
        assert_eq!(executor.calls(), 1);
    }
}

#[tokio::test]
async fn gives_up_after_the_last_attempt_with_the_latest_error() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Scripted::new((0..9).map(|_| unavailable()))));
    let gate = gate(&clock);
    let policy = policy().with_max_attempts(3).with_backoff(Duration::ZERO, Duration::ZERO);
    let wrapped = executor.clone().retried(policy, Arc::new(clock.clone()));
    assert!(matches!(cause(submit(&gate, 1, &wrapped).await), ExecuteError::Unavailable { .. }));
    assert_eq!(executor.calls(), 3);
}

#[tokio::test]
async fn waits_at_least_as_long_as_the_error_says() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Scripted::new([later(SECOND)])));
    let gate = gate(&clock);
    let wrapped = Arc::new(executor.clone().retried(policy(), Arc::new(clock.clone())));
    let run = start(&gate, "a", &wrapped).await;
    clock.advance(SECOND - MILLI);
    idle().await;
    assert_eq!(executor.calls(), 1);
    clock.advance(MILLI + 100 * MILLI);
    run.await.unwrap().unwrap();
    assert_eq!(executor.calls(), 2);
}

#[tokio::test]
async fn begins_no_wait_that_reaches_the_deadline() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Scripted::new([later(SECOND)])));
    let gate = gate(&clock);
    let wrapped = executor.clone().retried(policy().with_deadline(SECOND), Arc::new(clock.clone()));
    assert!(matches!(cause(submit(&gate, 1, &wrapped).await), ExecuteError::RateLimited { .. }));
    assert_eq!(executor.calls(), 1);
}

#[tokio::test]
async fn the_deadline_cuts_a_try_short_and_leaves_its_effect_unknown() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Slow::new()));
    let gate = gate(&clock);
    let wrapped = executor.clone().retried(policy().with_deadline(SECOND), Arc::new(clock.clone()));
    let run = start(&gate, "a", &Arc::new(wrapped)).await;
    clock.advance(SECOND);
    assert!(matches!(cause(run.await.unwrap()), ExecuteError::TimedOut { limit: SECOND }));
}

#[tokio::test]
async fn the_budget_bounds_the_retries_of_all_calls_together() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Scripted::new((0..40).map(|_| unavailable()))));
    let gate = gate(&clock);
    let policy = policy().with_backoff(Duration::ZERO, Duration::ZERO).with_budget(RetryBudget::new(10, 2));
    let wrapped = executor.clone().retried(policy, Arc::new(clock.clone()));
    for id in 0..20 {
        cause(submit(&gate, id, &wrapped).await);
    }
    // 20 first tries, 2 retries saved up, and 1 earned by the 19 calls after the first.
    assert_eq!(executor.calls(), 20 + 2 + 1);
}

proptest! {
    #[test]
    fn the_wait_is_within_the_doubling_backoff_and_the_same_for_the_same_seed(
        seed in any::<u64>(),
        attempt in 1..40u32,
        at_least in 0..5_000u64,
    ) {
        let policy = RetryPolicy::new(Seed::from_u64(seed))
            .with_max_attempts(100)
            .with_backoff(100 * MILLI, 10 * SECOND);
        let id = ActionId::new("a").unwrap();
        let most = (100 * MILLI).saturating_mul(2u32.saturating_pow(attempt - 1)).min(10 * SECOND);
        let wait = policy.delay(&id, attempt, Retry::Later).unwrap();
        prop_assert!(wait <= most);
        prop_assert_eq!(policy.delay(&id, attempt, Retry::Later), Some(wait));
        let at_least = Duration::from_millis(at_least);
        prop_assert_eq!(policy.delay(&id, attempt, Retry::After(at_least)), Some(at_least + wait));
        prop_assert_eq!(policy.delay(&id, attempt, Retry::Now), Some(Duration::ZERO));
        prop_assert_eq!(policy.delay(&id, attempt, Retry::Never), None);
        prop_assert_eq!(policy.delay(&id, 100, Retry::Later), None);
    }
}

#[test]
fn the_jitter_uses_all_of_the_backoff() {
    let policy = policy().with_backoff(1_000 * MILLI, SECOND);
    let waits: Vec<_> = (0..200)
        .map(|id| policy.delay(&ActionId::new(id.to_string()).unwrap(), 1, Retry::Later).unwrap())
        .collect();
    assert!(waits.iter().any(|wait| *wait < 100 * MILLI));
    assert!(waits.iter().any(|wait| *wait > 900 * MILLI));
}
