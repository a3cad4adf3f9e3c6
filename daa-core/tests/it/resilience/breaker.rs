use std::sync::Arc;
use std::time::Duration;

use daa_core::action::ExecuteError;
use daa_core::clock::{ManualClock, Timestamp};
use daa_core::resilience::{Breaker, BreakerPhase, BreakerPolicy, ExecutorExt, Observation, Ticket};
use proptest::prelude::*;

use super::support::{Scripted, Slow, cause, done, gate, interrupted, rejected, start, submit, unavailable};

const OPEN_FOR: Duration = Duration::from_millis(100);

fn policy(failures: u32) -> BreakerPolicy {
    BreakerPolicy::consecutive(failures).with_open_for(OPEN_FOR)
}

#[tokio::test]
async fn opens_after_failures_in_a_row_and_closes_after_a_good_trial() {
    let (clock, executor) = (ManualClock::default(), Arc::new(Scripted::new([unavailable(), interrupted()])));
    let gate = gate(&clock);
    let wrapped = executor.clone().circuit_broken(policy(2), Arc::new(clock.clone()));
    cause(submit(&gate, 1, &wrapped).await);
    assert_eq!(wrapped.phase(), BreakerPhase::Closed);
    cause(submit(&gate, 2, &wrapped).await);
    clock.advance(Duration::from_millis(40));
    let refused = cause(submit(&gate, 3, &wrapped).await);
    assert!(matches!(refused, ExecuteError::CircuitOpen { after } if after == Duration::from_millis(60)));
    assert_eq!(executor.calls(), 2);
    clock.advance(Duration::from_millis(60));
    submit(&gate, 4, &wrapped).await.unwrap();
    assert_eq!(wrapped.phase(), BreakerPhase::Closed);
}

#[tokio::test]
async fn what_the_caller_did_wrong_does_not_open_it() {
    let clock = ManualClock::default();
    let gate = gate(&clock);
    let executor = Scripted::new([rejected(), rejected(), rejected()]);
    let wrapped = executor.circuit_broken(policy(1), Arc::new(clock.clone()));
    for id in 0..3 {
        cause(submit(&gate, id, &wrapped).await);
    }
    assert_eq!(wrapped.phase(), BreakerPhase::Closed);
}

#[tokio::test]
async fn a_success_in_between_starts_the_count_anew() {
    let clock = ManualClock::default();
    let gate = gate(&clock);
    let executor = Scripted::new([unavailable(), done("ok"), unavailable()]);
    let wrapped = executor.circuit_broken(policy(2), Arc::new(clock.clone()));
    for id in 0..3 {
        let _ = submit(&gate, id, &wrapped).await;
    }
    assert_eq!(wrapped.phase(), BreakerPhase::Closed);
}

#[tokio::test]
async fn half_open_lets_exactly_the_trials_through() {
    let clock = ManualClock::default();
    let gate = gate(&clock);
    let executor = Arc::new(Slow::ending_in(unavailable));
    let wrapped = executor.clone().circuit_broken(policy(1).with_trials(2), Arc::new(clock.clone()));
    let wrapped = Arc::new(wrapped);
    let first = start(&gate, "first", &wrapped).await;
    executor.let_go(1);
    cause(first.await.unwrap());
    clock.advance(OPEN_FOR);
    let mut running = Vec::new();
    for id in 0..10 {
        running.push(start(&gate, id, &wrapped).await);
    }
    assert_eq!(executor.begun(), 1 + 2);
    assert_eq!(running.iter().filter(|trial| trial.is_finished()).count(), 8);
    executor.let_go(1);
    super::support::idle().await;
    assert!(matches!(wrapped.phase(), BreakerPhase::Open { .. }), "one failed trial opens it");
}

#[tokio::test]
async fn a_cancelled_trial_is_given_to_another_call() {
    let clock = ManualClock::default();
    let gate = gate(&clock);
    let executor = Arc::new(Slow::ending_in(unavailable));
    let wrapped = Arc::new(executor.clone().circuit_broken(policy(1), Arc::new(clock.clone())));
    executor.let_go(1);
    cause(start(&gate, "first", &wrapped).await.await.unwrap());
    clock.advance(OPEN_FOR);
    let trial = start(&gate, "trial", &wrapped).await;
    trial.abort();
    assert!(trial.await.unwrap_err().is_cancelled());
    let _next = start(&gate, "next", &wrapped).await;
    assert_eq!(executor.begun(), 3);
}

#[test]
fn trials_that_never_come_back_do_not_shut_it_for_good() {
    let mut breaker = Breaker::new(policy(1));
    let ticket = breaker.admit(Timestamp::EPOCH).unwrap();
    breaker.record(ticket, Observation::Failure, Timestamp::EPOCH);
    let lost = breaker.admit(Timestamp::EPOCH + OPEN_FOR).unwrap();
    assert_eq!(breaker.admit(Timestamp::EPOCH + OPEN_FOR).unwrap_err(), OPEN_FOR);
    let later = Timestamp::EPOCH + OPEN_FOR + OPEN_FOR;
    let trial = breaker.admit(later).unwrap();
    breaker.record(lost, Observation::Failure, later);
    assert_eq!(breaker.phase(), BreakerPhase::HalfOpen, "a lost trial has no say any more");
    breaker.record(trial, Observation::Success, later);
    assert_eq!(breaker.phase(), BreakerPhase::Closed);
}

/// What a breaker should do, with all of history kept and counted anew each time.
struct Model {
    failures: usize,
    window: usize,
    trials: usize,
    state: ModelState,
    epoch: usize,
}

enum ModelState {
    Closed(Vec<Observation>),
    Open(u64),
    /// Since when, and what became of each trial so far.
    Half(u64, Vec<Option<Observation>>),
}

impl Model {
    /// The epoch and the number of the trial, if the call may pass.
    fn admit(&mut self, now: u64) -> Option<(usize, usize)> {
        let open_for = u64::try_from(OPEN_FOR.as_millis()).unwrap();
        let fresh = match &self.state {
            ModelState::Closed(_) => return Some((self.epoch, 0)),
            ModelState::Open(until) => now >= *until,
            ModelState::Half(since, _) => !self.has_trials_left() && now >= since + open_for,
        };
        if fresh {
            self.epoch += 1;
            self.state = ModelState::Half(now, Vec::new());
        }
        if !self.has_trials_left() {
            return None;
        }
        let ModelState::Half(_, trials) = &mut self.state else { unreachable!() };
        trials.push(None);
        Some((self.epoch, trials.len() - 1))
    }

    fn has_trials_left(&self) -> bool {
        let ModelState::Half(_, trials) = &self.state else { return false };
        trials.iter().filter(|trial| **trial != Some(Observation::Neutral)).count() < self.trials
    }

    fn record(&mut self, (epoch, trial): (usize, usize), observation: Observation, now: u64) {
        if epoch != self.epoch {
            return;
        }
        let open = ModelState::Open(now + u64::try_from(OPEN_FOR.as_millis()).unwrap());
        let next = match &mut self.state {
            ModelState::Closed(history) => {
                history.push(observation);
                let telling = history.iter().rev().filter(|seen| **seen != Observation::Neutral);
                let failed = telling.take(self.window).filter(|seen| **seen == Observation::Failure).count();
                (failed >= self.failures).then_some(open)
            }
            ModelState::Open(_) => None,
            ModelState::Half(_, trials) => {
                trials[trial] = Some(observation);
                let good = trials.iter().filter(|trial| **trial == Some(Observation::Success)).count();
                match observation {
                    Observation::Failure => Some(open),
                    _ if good >= self.trials => Some(ModelState::Closed(Vec::new())),
                    _ => None,
                }
            }
        };
        if let Some(next) = next {
            self.state = next;
            self.epoch += 1;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Admit,
    Finish(prop::sample::Index, Observation),
}

fn step() -> impl Strategy<Value = Step> {
    let observation =
        prop_oneof![Just(Observation::Success), Just(Observation::Failure), Just(Observation::Neutral)];
    prop_oneof![
        1 => (0..120u64).prop_map(Step::Advance),
        3 => Just(Step::Admit),
        3 => (any::<prop::sample::Index>(), observation).prop_map(|(index, seen)| Step::Finish(index, seen)),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_breaker_that_remembers_everything(
        failures in 1..4u32,
        extra in 0..4u32,
        trials in 1..4u32,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let window = failures + extra;
        let policy = BreakerPolicy::failures_of(failures, window).with_open_for(OPEN_FOR).with_trials(trials);
        let mut breaker = Breaker::new(policy);
        let mut model = Model {
            failures: failures as usize,
            window: window as usize,
            trials: trials as usize,
            state: ModelState::Closed(Vec::new()),
            epoch: 0,
        };
        let mut now = 0;
        let mut under_way: Vec<(Ticket, (usize, usize))> = Vec::new();
        for step in steps {
            match step {
                Step::Advance(millis) => now += millis,
                Step::Admit => {
                    let admitted = breaker.admit(Timestamp::from_millis(now));
                    let expected = model.admit(now);
                    prop_assert_eq!(admitted.is_ok(), expected.is_some());
                    under_way.extend(admitted.ok().zip(expected));
                }
                Step::Finish(index, observation) => {
                    if !under_way.is_empty() {
                        let (ticket, key) = under_way.swap_remove(index.index(under_way.len()));
                        breaker.record(ticket, observation, Timestamp::from_millis(now));
                        model.record(key, observation, now);
                    }
                }
            }
            let same = matches!(
                (breaker.phase(), &model.state),
                (BreakerPhase::Closed, ModelState::Closed(_)) | (BreakerPhase::HalfOpen, ModelState::Half(..))
            ) || matches!(
                (breaker.phase(), &model.state),
                (BreakerPhase::Open { until }, ModelState::Open(at)) if until.as_millis() == *at
            );
            prop_assert!(same, "the breaker is {:?}", breaker.phase());
        }
    }
}
