//! The state machine of a circuit breaker.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;

/// The longest window of calls that a breaker looks back on.
const MAX_WINDOW: u32 = 4096;

/// When a [`Breaker`] opens, and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    failures: u32,
    window: u32,
    open_for: Duration,
    trials: u32,
}

impl BreakerPolicy {
    /// Opens after this many failures in a row.
    #[must_use]
    pub fn consecutive(failures: u32) -> Self {
        Self::failures_of(failures, failures)
    }

    /// Opens when `failures` of the last `calls` calls failed: a failure rate, in whole calls. Both are brought
    /// into `1..=4096`, and `failures` to at most `calls`.
    #[must_use]
    pub fn failures_of(failures: u32, calls: u32) -> Self {
        let window = calls.clamp(1, MAX_WINDOW);
        Self { failures: failures.clamp(1, window), window, open_for: Duration::from_secs(30), trials: 1 }
    }

    /// How long it stays open before it lets trials through; by default 30 seconds.
    #[must_use]
    pub const fn with_open_for(mut self, span: Duration) -> Self {
        self.open_for = span;
        self
    }

    /// How many calls it lets through when it is half open, all of which must succeed; by default, and at
    /// least, one.
    #[must_use]
    pub fn with_trials(mut self, trials: u32) -> Self {
        self.trials = trials.max(1);
        self
    }
}

/// What a call said about the environment it went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The environment did its part.
    Success,
    /// The environment failed.
    Failure,
    /// Nothing: the call was cancelled, or failed for a reason that is not the environment's.
    Neutral,
}

/// Leave for one call. Hand it back to [`Breaker::record`], whatever became of the call.
#[derive(Debug)]
#[must_use = "a ticket that is never recorded takes up a trial"]
pub struct Ticket {
    epoch: u64,
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerPhase {
    /// All calls pass.
    Closed,
    /// No call passes before this time.
    Open {
        /// When trials begin.
        until: Timestamp,
    },
    /// Trials are under way.
    HalfOpen,
}

#[derive(Debug)]
enum State {
    /// The latest calls, at most a window of them; `true` is a failure.
    Closed {
        recent: VecDeque<bool>,
        failures: u32,
    },
    Open {
        until: Timestamp,
    },
    HalfOpen {
        until: Timestamp,
        admitted: u32,
        succeeded: u32,
    },
}

impl State {
    const CLOSED: Self = Self::Closed { recent: VecDeque::new(), failures: 0 };
}

/// A circuit breaker: closed, open, half open.
///
/// - *Closed*, it counts failures among the latest calls, and opens when the policy says so.
/// - *Open*, it refuses every call until its time is over.
/// - *Half open*, it lets exactly as many trials through as the policy says. The first failure opens it again;
///   when all trials have succeeded it closes. Trials that say nothing are given out anew, and so are all of
///   them when they have not come back after the time that the breaker stays open.
///
/// A call that began before the latest change of state has no say in the new one.
///
/// ```
/// # use std::time::Duration;
/// # use daa_core::clock::Timestamp;
/// # use daa_core::resilience::*;
/// let mut breaker = Breaker::new(BreakerPolicy::consecutive(1).with_open_for(Duration::from_millis(50)));
/// let now = Timestamp::from_millis(100);
/// let ticket = breaker.admit(now).unwrap();
/// breaker.record(ticket, Observation::Failure, now);
/// assert_eq!(breaker.admit(now).unwrap_err(), Duration::from_millis(50));
/// ```
#[derive(Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: State,
    epoch: u64,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub const fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: State::CLOSED, epoch: 0 }
    }

    /// Where it stands.
    #[must_use]
    pub const fn phase(&self) -> BreakerPhase {
        match self.state {
            State::Closed { .. } => BreakerPhase::Closed,
            State::Open { until } => BreakerPhase::Open { until },
            State::HalfOpen { .. } => BreakerPhase::HalfOpen,
        }
    }

    /// Asks leave for a call.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub fn admit(&mut self, now: Timestamp) -> Result<Ticket, Duration> {
        match &mut self.state {
            State::Closed { .. } => {}
            State::HalfOpen { admitted, .. } if *admitted < self.policy.trials => *admitted += 1,
            State::Open { until } | State::HalfOpen { until, .. } if now < *until => {
                return Err(until.since(now));
            }
            State::Open { .. } | State::HalfOpen { .. } => {
                let until = now + self.policy.open_for;
                self.change(State::HalfOpen { until, admitted: 1, succeeded: 0 });
            }
        }
        Ok(Ticket { epoch: self.epoch })
    }

    /// Learns what became of a call.
    pub fn record(&mut self, ticket: Ticket, observation: Observation, now: Timestamp) {
        if ticket.epoch != self.epoch {
            return;
        }
        let next = match &mut self.state {
            State::Closed { recent, failures } => {
                remember(recent, failures, observation, self.policy.window);
                (*failures >= self.policy.failures)
                    .then_some(State::Open { until: now + self.policy.open_for })
            }
            State::Open { .. } => None,
            State::HalfOpen { admitted, succeeded, .. } => match observation {
                Observation::Failure => Some(State::Open { until: now + self.policy.open_for }),
                Observation::Neutral => {
                    *admitted = admitted.saturating_sub(1);
                    None
                }
                Observation::Success => {
                    *succeeded += 1;
                    (*succeeded >= self.policy.trials).then_some(State::CLOSED)
                }
            },
        };
        if let Some(next) = next {
            self.change(next);
        }
    }

    fn change(&mut self, next: State) {
        self.state = next;
        self.epoch += 1;
    }
}

fn remember(recent: &mut VecDeque<bool>, failures: &mut u32, observation: Observation, window: u32) {
    let failed = match observation {
        Observation::Success => false,
        Observation::Failure => true,
        Observation::Neutral => return,
    };
    recent.push_back(failed);
    *failures += u32::from(failed);
    if recent.len() > window as usize && recent.pop_front() == Some(true) {
        *failures -= 1;
    }
}
