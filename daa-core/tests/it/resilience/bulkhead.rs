use std::sync::Arc;
use std::time::Duration;

use daa_core::action::ExecuteError;
use daa_core::clock::ManualClock;
use daa_core::resilience::{BulkheadPolicy, ExecutorExt};

use super::support::{Slow, cause, gate, idle, start};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn lets_no_more_through_than_allowed_and_the_rest_in_turn() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Slow::new()));
    let gate = gate(&clock);
    let policy = BulkheadPolicy::new(2).with_waiting(1, SECOND);
    let wrapped = Arc::new(executor.clone().bulkheaded(policy, Arc::new(clock.clone())));
    let first = start(&gate, 1, &wrapped).await;
    let second = start(&gate, 2, &wrapped).await;
    let waiting = start(&gate, 3, &wrapped).await;
    let refused = start(&gate, 4, &wrapped).await;
    assert_eq!(executor.begun(), 2);
    assert!(refused.is_finished(), "there is one place to wait");
    let refused = cause(refused.await.unwrap());
    assert!(matches!(refused, ExecuteError::BulkheadFull { limit: 2 }));
    executor.let_go(1);
    idle().await;
    assert_eq!(executor.begun(), 3);
    executor.let_go(2);
    for run in [first, second, waiting] {
        run.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn waiting_ends_after_its_bound_without_effect() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Slow::new()));
    let gate = gate(&clock);
    let policy = BulkheadPolicy::new(1).with_waiting(1, SECOND);
    let wrapped = Arc::new(executor.clone().bulkheaded(policy, Arc::new(clock.clone())));
    let _first = start(&gate, 1, &wrapped).await;
    let waiting = start(&gate, 2, &wrapped).await;
    clock.advance(SECOND);
    assert!(matches!(cause(waiting.await.unwrap()), ExecuteError::BulkheadFull { limit: 1 }));
    assert_eq!(executor.begun(), 1);
}

#[tokio::test]
async fn a_cancelled_action_makes_room() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Slow::new()));
    let gate = gate(&clock);
    let wrapped = Arc::new(executor.clone().bulkheaded(BulkheadPolicy::new(1), Arc::new(clock.clone())));
    let first = start(&gate, 1, &wrapped).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let _second = start(&gate, 2, &wrapped).await;
    assert_eq!(executor.begun(), 2);
}
