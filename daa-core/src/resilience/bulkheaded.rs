//! An executor that does not do too much at once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::time_limited::within;
use crate::action::{Action, Authorized, ExecuteError, Executor, Outcome, Reconciled};
use crate::clock::Clock;

/// How many actions may be under way, and how many may wait for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkheadPolicy {
    concurrent: usize,
    waiting: usize,
    max_wait: Duration,
}

impl BulkheadPolicy {
    /// Allows this many at a time, at least one; by default nobody waits.
    #[must_use]
    pub fn new(concurrent: usize) -> Self {
        Self { concurrent: concurrent.clamp(1, Semaphore::MAX_PERMITS), waiting: 0, max_wait: Duration::ZERO }
    }

    /// How many more may wait, and how long each of them does.
    #[must_use]
    pub fn with_waiting(mut self, waiting: usize, max_wait: Duration) -> Self {
        self.waiting = waiting.min(Semaphore::MAX_PERMITS);
        self.max_wait = max_wait;
        self
    }
}

/// An executor with a bounded number of actions under way, and a bounded queue before it.
///
/// Those who wait are served in the order in which they came. One for whom there is no place to wait, or who has
/// waited long enough, is refused with [`ExecuteError::BulkheadFull`], and nothing happened. Reconciliation is
/// not limited.
#[derive(Debug)]
pub struct Bulkheaded<E> {
    inner: E,
    policy: BulkheadPolicy,
    running: Semaphore,
    waiting: Semaphore,
    clock: Arc<dyn Clock>,
}

impl<E> Bulkheaded<E> {
    /// Bounds how many actions `inner` performs at a time.
    #[must_use]
    pub fn new(inner: E, policy: BulkheadPolicy, clock: Arc<dyn Clock>) -> Self {
        let (running, waiting) = (Semaphore::new(policy.concurrent), Semaphore::new(policy.waiting));
        Self { inner, policy, running, waiting, clock }
    }

    async fn enter(&self) -> Result<SemaphorePermit<'_>, ExecuteError> {
        // Fails while others wait, so nobody jumps the queue.
        if let Ok(permit) = self.running.try_acquire() {
            return Ok(permit);
        }
        let full = || ExecuteError::BulkheadFull { limit: self.policy.concurrent };
        let _place = self.waiting.try_acquire().map_err(|_| full())?;
        let entered = within(&*self.clock, self.policy.max_wait, self.running.acquire()).await;
        // The semaphore is never closed.
        entered.and_then(Result::ok).ok_or_else(full)
    }
}

#[async_trait]
impl<E: Executor> Executor for Bulkheaded<E> {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let _permit = self.enter().await?;
        self.inner.execute(action).await
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        self.inner.reconcile(action).await
    }

    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        self.inner.compensation(action, outcome)
    }
}
