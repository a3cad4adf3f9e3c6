//! An executor that tries again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::retry::{RetryBudget, RetryPolicy};
use super::time_limited::within;
use crate::action::{Action, Authorized, Effect, ExecuteError, Executor, Outcome, Reconciled};
use crate::clock::Clock;
use crate::fault::Reaction;

/// An executor that is called again after a failure that another try can mend.
///
/// It tries again only after an error with [`Effect::None`] whose [`Reaction::retry`] says that it can help,
/// while tries, time and budget last. Otherwise it returns the latest error. It never begins a wait that would
/// reach the deadline. A try that is under way when the deadline comes is dropped, and ends in
/// [`ExecuteError::TimedOut`], whose effect is unknown.
///
/// All tries carry the same idempotency key and count as one attempt in the journal.
#[derive(Debug)]
pub struct Retried<E> {
    inner: E,
    policy: RetryPolicy,
    budget: Mutex<RetryBudget>,
    clock: Arc<dyn Clock>,
}

impl<E> Retried<E> {
    /// Calls `inner` again as the policy says.
    #[must_use]
    pub fn new(inner: E, policy: RetryPolicy, clock: Arc<dyn Clock>) -> Self {
        Self { inner, policy, budget: Mutex::new(policy.budget()), clock }
    }

    fn budget(&self) -> MutexGuard<'_, RetryBudget> {
        // Nothing panics while it is locked, so a poisoned lock still guards a whole budget.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<E: Executor> Executor for Retried<E> {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        self.budget().earn();
        let limit = self.policy.deadline();
        let deadline = self.clock.now() + limit;
        let mut attempt = 1;
        loop {
            let left = deadline.since(self.clock.now());
            let tried = within(&*self.clock, left, self.inner.execute(action)).await;
            let error = match tried {
                None => return Err(ExecuteError::TimedOut { limit }),
                Some(Ok(outcome)) => return Ok(outcome),
                Some(Err(error)) => error,
            };
            let delay = match error.effect() {
                Effect::None => self.policy.delay(action.id(), attempt, error.retry()),
                Effect::Unknown => None,
            };
            let Some(delay) = delay else { return Err(error) };
            let next = self.clock.now() + delay;
            if next >= deadline || !self.budget().spend() {
                return Err(error);
            }
            tracing::debug!(action = %action.id(), attempt, ?delay, %error, "trying again");
            self.clock.sleep_until(next).await;
            attempt += 1;
        }
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        self.inner.reconcile(action).await
    }

    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        self.inner.compensation(action, outcome)
    }
}
