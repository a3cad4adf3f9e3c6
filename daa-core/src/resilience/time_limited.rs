//! An executor that is given up on when it takes too long.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};

use crate::action::{Action, Authorized, ExecuteError, Executor, Outcome, Reconciled};
use crate::clock::Clock;

/// Runs a future for at most `limit`; `None` when that was not enough. The future is dropped then. One that is
/// ready at the limit counts as in time.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let future = std::pin::pin!(future);
    match select(future, clock.sleep(limit)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// An executor whose every call has a time limit.
///
/// A call that takes longer is dropped and ends in [`ExecuteError::TimedOut`]: whether it took effect is
/// unknown, so nothing tries it again; reconciliation finds out. Reconciling has the same limit.
///
/// A call that blocks its thread instead of waiting cannot be cut short.
#[derive(Debug)]
pub struct TimeLimited<E> {
    inner: E,
    limit: Duration,
    clock: Arc<dyn Clock>,
}

impl<E> TimeLimited<E> {
    /// Gives each call of `inner` this long.
    #[must_use]
    pub fn new(inner: E, limit: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { inner, limit, clock }
    }
}

#[async_trait]
impl<E: Executor> Executor for TimeLimited<E> {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let done = within(&*self.clock, self.limit, self.inner.execute(action)).await;
        done.unwrap_or(Err(ExecuteError::TimedOut { limit: self.limit }))
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let done = within(&*self.clock, self.limit, self.inner.reconcile(action)).await;
        done.unwrap_or(Err(ExecuteError::TimedOut { limit: self.limit }))
    }

    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        self.inner.compensation(action, outcome)
    }
}
