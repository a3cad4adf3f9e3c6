//! Time limits, and shelter from panics.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};

use super::lapse::{Cause, Lapse, Part};
use crate::clock::Clock;
use crate::failure_text::panic_text;

/// How long each part of a cycle may take, by the agent's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeLimits {
    /// One collection, unless the collector has a limit of its own. By default 10 seconds.
    pub collect: Duration,
    /// The reasoner. By default 60 seconds.
    pub reason: Duration,
    /// One action, or the undoing of one; and finding out what became of it where that takes too long. By default 60
    /// seconds.
    pub action: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { collect: Duration::from_secs(10), reason: minute, action: minute }
    }
}

impl TimeLimits {
    /// Sets how long one collection may take.
    #[must_use]
    pub const fn with_collect(mut self, limit: Duration) -> Self {
        self.collect = limit;
        self
    }

    /// Sets how long the reasoner may take.
    #[must_use]
    pub const fn with_reason(mut self, limit: Duration) -> Self {
        self.reason = limit;
        self
    }

    /// Sets how long one action may take.
    #[must_use]
    pub const fn with_action(mut self, limit: Duration) -> Self {
        self.action = limit;
        self
    }
}

/// Runs `future` for at most `limit`; `None` when it took longer. It is polled once before the clock is asked, so
/// that what is ready at once costs nothing.
pub(super) async fn within<F: Future>(clock: &dyn Clock, limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let deadline = clock.now() + limit;
    if let Poll::Ready(output) = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
        return Some(output);
    }
    match select(future, clock.sleep_until(deadline)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

/// Runs a part of the agent within its limit; an error, a panic or too long a time become a lapse.
pub(super) async fn sheltered<T, E, F>(
    clock: &dyn Clock,
    limit: Duration,
    part: impl FnOnce() -> Part,
    future: F,
) -> Result<T, Lapse>
where
    E: std::error::Error,
    F: Future<Output = Result<T, E>>,
{
    match within(clock, limit, AssertUnwindSafe(future).catch_unwind()).await {
        Some(Ok(Ok(value))) => Ok(value),
        Some(Ok(Err(error))) => Err(Lapse::failed(part(), &error)),
        Some(Err(panic)) => Err(Lapse::new(part(), Cause::Panicked(panic_text(&*panic)))),
        None => Err(Lapse::new(part(), Cause::TimedOut(limit))),
    }
}

/// Calls a part of the agent; a panic becomes a lapse.
pub(super) fn caught<T>(part: impl FnOnce() -> Part, call: impl FnOnce() -> T) -> Result<T, Lapse> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|panic| Lapse::new(part(), Cause::Panicked(panic_text(&*panic))))
}
