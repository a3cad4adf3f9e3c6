//! An executor that is not called more often than allowed.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::bucket::{RatePolicy, TokenBucket};
use crate::action::{Action, Authorized, ExecuteError, Executor, Outcome, Reconciled};
use crate::clock::Clock;

/// An executor behind a [`TokenBucket`].
///
/// An action waits for its turn up to the policy's bound; beyond it, it is refused at once with
/// [`ExecuteError::RateLimited`], and nothing happened. Turns come in the order of the calls. A call that is
/// dropped while it waits has used up its turn. Reconciliation is not limited.
#[derive(Debug)]
pub struct RateLimited<E> {
    inner: E,
    bucket: Mutex<TokenBucket>,
    clock: Arc<dyn Clock>,
}

impl<E> RateLimited<E> {
    /// Limits how often `inner` is called.
    #[must_use]
    pub fn new(inner: E, policy: RatePolicy, clock: Arc<dyn Clock>) -> Self {
        Self { inner, bucket: Mutex::new(TokenBucket::new(policy)), clock }
    }

    async fn turn(&self) -> Result<(), ExecuteError> {
        let now = self.clock.now();
        // Nothing panics while it is locked, so a poisoned lock still guards a whole bucket.
        let taken = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        let ready = taken.map_err(|after| ExecuteError::RateLimited { after })?;
        if ready > now {
            self.clock.sleep_until(ready).await;
        }
        Ok(())
    }
}

#[async_trait]
impl<E: Executor> Executor for RateLimited<E> {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        self.turn().await?;
        self.inner.execute(action).await
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        self.inner.reconcile(action).await
    }

    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        self.inner.compensation(action, outcome)
    }
}
