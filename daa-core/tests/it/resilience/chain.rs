use std::sync::Arc;
use std::time::Duration;

use daa_core::action::{Executor, Outcome, Reconciled};
use daa_core::clock::{Clock, ManualClock};
use daa_core::resilience::{BreakerPolicy, BulkheadPolicy, ExecutorExt, RatePolicy, RetryPolicy};
use daa_core::seed::Seed;

use super::support::{Scripted, action, gate, idle, start, unavailable};

const SECOND: Duration = Duration::from_secs(1);

fn chain<E: Executor>(executor: E, clock: &ManualClock) -> impl Executor + use<E> {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    executor
        .time_limited(SECOND, clock.clone())
        .bulkheaded(BulkheadPolicy::new(2), clock.clone())
        .circuit_broken(BreakerPolicy::consecutive(2).with_open_for(5 * SECOND), clock.clone())
        .rate_limited(RatePolicy::new(100, SECOND).with_burst(10), clock.clone())
        .retried(RetryPolicy::new(Seed::from_u64(1)).with_deadline(30 * SECOND), clock)
}

#[tokio::test]
async fn a_retry_waits_until_the_open_circuit_lets_a_trial_through() {
    let clock = ManualClock::default();
    let executor = Arc::new(Scripted::new([unavailable(), unavailable()]));
    let gate = gate(&clock);
    let wrapped = Arc::new(chain(executor.clone(), &clock));
    let run = start(&gate, "a", &wrapped).await;
    for _ in 0..80 {
        clock.advance(SECOND / 10);
        idle().await;
    }
    run.await.unwrap().unwrap();
    assert_eq!(executor.calls(), 3, "the try against the open circuit does not reach the executor");
}

#[tokio::test]
async fn reconciliation_and_compensation_reach_the_executor_through_every_wrapper() {
    let executor =
        Scripted::default().with_reconciled(Reconciled::NotFound).with_compensation(action("undo"));
    let wrapped = chain(executor, &ManualClock::default());
    assert_eq!(wrapped.reconcile(&action("a")).await.unwrap(), Reconciled::NotFound);
    assert_eq!(wrapped.compensation(&action("a"), &Outcome::default()), Some(action("undo")));
}
