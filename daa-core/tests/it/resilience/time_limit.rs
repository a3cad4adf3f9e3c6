use std::sync::Arc;
use std::time::Duration;

use daa_core::action::{ActionState, ExecuteError};
use daa_core::clock::ManualClock;
use daa_core::resilience::ExecutorExt;

use super::support::{Slow, cause, gate, start};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_call_over_its_limit_has_an_unknown_effect_and_can_be_reconciled() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Slow::new()));
    let gate = gate(&clock);
    let wrapped = Arc::new(executor.clone().time_limited(SECOND, Arc::new(clock.clone())));
    let run = start(&gate, "a", &wrapped).await;
    clock.advance(SECOND);
    assert!(matches!(cause(run.await.unwrap()), ExecuteError::TimedOut { limit: SECOND }));
    let id = "a".parse().unwrap();
    let status = gate.status(&id).await.unwrap().unwrap();
    assert!(matches!(status.state, ActionState::Uncertain(_)), "{:?}", status.state);
    let status = gate.reconcile(&id, &*wrapped).await.unwrap();
    assert!(matches!(status.state, ActionState::Succeeded(_)), "{:?}", status.state);
}

#[tokio::test]
async fn a_call_within_its_limit_passes() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Slow::new()));
    let gate = gate(&clock);
    let wrapped = Arc::new(executor.clone().time_limited(SECOND, Arc::new(clock.clone())));
    let run = start(&gate, "a", &wrapped).await;
    clock.advance(SECOND - Duration::from_millis(1));
    executor.let_go(1);
    assert_eq!(run.await.unwrap().unwrap().outcome.output, "slow");
}
