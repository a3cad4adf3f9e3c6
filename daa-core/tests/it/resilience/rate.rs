use std::sync::Arc;
use std::time::Duration;

use daa_core::action::ExecuteError;
use daa_core::clock::ManualClock;
use daa_core::resilience::{ExecutorExt, RatePolicy};

use super::support::{Scripted, cause, gate, idle, start, submit};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn refuses_beyond_the_rate_and_says_when_to_come_back() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Scripted::default()));
    let gate = gate(&clock);
    let wrapped =
        executor.clone().rate_limited(RatePolicy::new(10, SECOND).with_burst(2), Arc::new(clock.clone()));
    submit(&gate, 1, &wrapped).await.unwrap();
    submit(&gate, 2, &wrapped).await.unwrap();
    let refused = cause(submit(&gate, 3, &wrapped).await);
    assert!(matches!(refused, ExecuteError::RateLimited { after } if after == SECOND / 10));
    assert_eq!(executor.calls(), 2);
    clock.advance(SECOND / 10);
    submit(&gate, 4, &wrapped).await.unwrap();
}

#[tokio::test]
async fn waits_for_its_turn_within_the_bound() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Scripted::default()));
    let gate = gate(&clock);
    let policy = RatePolicy::new(10, SECOND).with_max_wait(Duration::from_millis(200));
    let wrapped = Arc::new(executor.clone().rate_limited(policy, Arc::new(clock.clone())));
    let runs = [
        start(&gate, 1, &wrapped).await,
        start(&gate, 2, &wrapped).await,
        start(&gate, 3, &wrapped).await,
        start(&gate, 4, &wrapped).await,
    ];
    assert_eq!(executor.calls(), 1);
    assert!(runs[3].is_finished(), "its turn is beyond the bound");
    for expected in [2, 3] {
        clock.advance(Duration::from_millis(99));
        idle().await;
        assert_eq!(executor.calls(), expected - 1);
        clock.advance(Duration::from_millis(1));
        idle().await;
        assert_eq!(executor.calls(), expected);
    }
}
