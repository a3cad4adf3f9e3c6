//! Executors made of closures.

use std::fmt;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::action::{Authorized, ExecuteError, Executor, Outcome};

/// An [`Executor`] made of a closure; see [`executor_fn`].
pub struct FnExecutor<F>(F);

/// Makes an executor of a closure. It cannot be reconciled or compensated: for effects that matter after a crash,
/// implement [`Executor`].
///
/// ```
/// use daa_core::action::Outcome;
/// use daa_core::agent::executor_fn;
///
/// let greeter = executor_fn(|action| {
///     Box::pin(async move { Ok(Outcome::new(format!("hello, {}", action.params()["name"]))) })
/// });
/// ```
pub const fn executor_fn<F>(execute: F) -> FnExecutor<F>
where
    F: for<'a> Fn(&'a Authorized) -> BoxFuture<'a, Result<Outcome, ExecuteError>> + Send + Sync,
{
    FnExecutor(execute)
}

impl<F> fmt::Debug for FnExecutor<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnExecutor").finish_non_exhaustive()
    }
}

#[async_trait]
impl<F> Executor for FnExecutor<F>
where
    F: for<'a> Fn(&'a Authorized) -> BoxFuture<'a, Result<Outcome, ExecuteError>> + Send + Sync,
{
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        (self.0)(action).await
    }
}
