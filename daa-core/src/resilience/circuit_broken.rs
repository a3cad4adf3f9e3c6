//! An executor that is left alone while what it depends on is down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::breaker::{Breaker, BreakerPhase, BreakerPolicy, Observation, Ticket};
use crate::action::{Action, Authorized, ExecuteError, Executor, Outcome, Reconciled};
use crate::clock::Clock;
use crate::fault::{Fault, Reaction};

/// An executor behind a [`Breaker`].
///
/// Only errors that are the [environment's](Fault::Environment) count as failures: an action that is rejected
/// says nothing about the health of what it was sent to, and neither does a call that was cancelled. Refused
/// calls end in [`ExecuteError::CircuitOpen`], and nothing happened.
///
/// Reconciliation passes even when the circuit is open: it has no effect, and is how the outcome of an
/// interrupted action is found.
#[derive(Debug)]
pub struct CircuitBroken<E> {
    inner: E,
    breaker: Mutex<Breaker>,
    clock: Arc<dyn Clock>,
}

impl<E> CircuitBroken<E> {
    /// Puts `inner` behind a closed breaker.
    #[must_use]
    pub fn new(inner: E, policy: BreakerPolicy, clock: Arc<dyn Clock>) -> Self {
        Self { inner, breaker: Mutex::new(Breaker::new(policy)), clock }
    }

    /// Where the breaker stands.
    #[must_use]
    pub fn phase(&self) -> BreakerPhase {
        self.breaker().phase()
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        // Nothing panics while it is locked, so a poisoned lock still guards a whole breaker.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way. One that is dropped, by cancellation or panic, gives its ticket back as neutral.
struct Call<'a, E> {
    circuit: &'a CircuitBroken<E>,
    ticket: Option<Ticket>,
}

impl<E> Call<'_, E> {
    fn end(&mut self, observation: Observation) {
        if let Some(ticket) = self.ticket.take() {
            let now = self.circuit.clock.now();
            self.circuit.breaker().record(ticket, observation, now);
        }
    }
}

impl<E> Drop for Call<'_, E> {
    fn drop(&mut self) {
        self.end(Observation::Neutral);
    }
}

fn observed(result: &Result<Outcome, ExecuteError>) -> Observation {
    match result {
        Ok(_) => Observation::Success,
        Err(error) if error.fault() == Fault::Environment => Observation::Failure,
        Err(_) => Observation::Neutral,
    }
}

#[async_trait]
impl<E: Executor> Executor for CircuitBroken<E> {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let admitted = self.breaker().admit(self.clock.now());
        let ticket = admitted.map_err(|after| ExecuteError::CircuitOpen { after })?;
        let mut call = Call { circuit: self, ticket: Some(ticket) };
        let result = self.inner.execute(action).await;
        call.end(observed(&result));
        result
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        self.inner.reconcile(action).await
    }

    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        self.inner.compensation(action, outcome)
    }
}
