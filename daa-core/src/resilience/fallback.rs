//! An executor with another one to stand in for it.

use async_trait::async_trait;

use crate::action::{Action, Authorized, Effect, ExecuteError, Executor, Outcome, Reconciled};

/// An executor with a fallback.
///
/// The fallback is called only after an error with [`Effect::None`]: when the first executor is known to have
/// done nothing. After an unknown effect the error is returned as it is, because two executors might otherwise
/// both have taken effect. When both fail, the error is the fallback's, and the first one goes to the log.
///
/// Both must describe the undoing of an action in the same way: the first executor's compensation counts, and
/// the fallback's only where the first has none.
#[derive(Clone, Debug)]
#[doc(alias = "SafeExecutor")]
pub struct WithFallback<P, F> {
    primary: P,
    fallback: F,
}

impl<P, F> WithFallback<P, F> {
    /// Calls `fallback` when `primary` fails without effect.
    #[must_use]
    pub const fn new(primary: P, fallback: F) -> Self {
        Self { primary, fallback }
    }
}

#[async_trait]
impl<P: Executor, F: Executor> Executor for WithFallback<P, F> {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        match self.primary.execute(action).await {
            Err(error) if error.effect() == Effect::None => {
                tracing::warn!(action = %action.id(), error = &error as &dyn std::error::Error, "falling back");
                self.fallback.execute(action).await
            }
            result => result,
        }
    }

    /// It took effect when either says so, and took none when both say so.
    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let primary = self.primary.reconcile(action).await;
        if let Ok(Reconciled::Completed(_)) = &primary {
            return primary;
        }
        match (primary, self.fallback.reconcile(action).await?) {
            (_, completed @ Reconciled::Completed(_)) => Ok(completed),
            (Ok(Reconciled::NotFound), found) => Ok(found),
            (Ok(_), _) => Ok(Reconciled::Unknown),
            (Err(error), _) => Err(error),
        }
    }

    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        let primary = self.primary.compensation(action, outcome);
        primary.or_else(|| self.fallback.compensation(action, outcome))
    }
}
