//! Executors in the hands of a worker that may have lost its lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::drive::Standing;
use super::parts::Parts;
use crate::action::{Action, Authorized, ExecuteError, Executor, Executors, Outcome, Reconciled};
use crate::clock::Clock;

/// Executors that are not called once the lease has ended: between the check that a task may begin and its call, an
/// append may have taken any time.
#[derive(Clone, Debug)]
pub(super) struct Leased {
    executors: Executors,
    clock: Arc<dyn Clock>,
    standing: Standing,
    lapsed: Arc<AtomicBool>,
}

impl Leased {
    pub(super) fn new(parts: &Parts, standing: Standing) -> Self {
        let (executors, clock) = (parts.executors.clone(), parts.clock.clone());
        Self { executors, clock, standing, lapsed: Arc::default() }
    }

    /// Whether a call was withheld because the lease had ended.
    pub(super) fn has_lapsed(&self) -> bool {
        self.lapsed.load(Ordering::Acquire)
    }
}

#[async_trait]
impl Executor for Leased {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        if !self.standing.holds(self.clock.now()) {
            self.lapsed.store(true, Ordering::Release);
            return Err(ExecuteError::unavailable("the lease of the worker has ended"));
        }
        self.executors.execute(action).await
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        self.executors.reconcile(action).await
    }

    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        self.executors.compensation(action, outcome)
    }
}
