//! Wrapping, as methods.

use std::sync::Arc;
use std::time::Duration;

use super::breaker::BreakerPolicy;
use super::bucket::RatePolicy;
use super::bulkheaded::{BulkheadPolicy, Bulkheaded};
use super::circuit_broken::CircuitBroken;
use super::fallback::WithFallback;
use super::rate_limited::RateLimited;
use super::retried::Retried;
use super::retry::RetryPolicy;
use super::time_limited::TimeLimited;
use crate::action::Executor;
use crate::clock::Clock;

/// The wrappers of this module as methods of every executor. Each wraps what it is called on; the
/// [module](super) says in which order.
pub trait ExecutorExt: Executor + Sized {
    /// Gives each call this long. See [`TimeLimited`].
    fn time_limited(self, limit: Duration, clock: Arc<dyn Clock>) -> TimeLimited<Self> {
        TimeLimited::new(self, limit, clock)
    }

    /// Bounds how many actions are under way. See [`Bulkheaded`].
    fn bulkheaded(self, policy: BulkheadPolicy, clock: Arc<dyn Clock>) -> Bulkheaded<Self> {
        Bulkheaded::new(self, policy, clock)
    }

    /// Stops calling what is down. See [`CircuitBroken`].
    fn circuit_broken(self, policy: BreakerPolicy, clock: Arc<dyn Clock>) -> CircuitBroken<Self> {
        CircuitBroken::new(self, policy, clock)
    }

    /// Limits how often it is called. See [`RateLimited`].
    fn rate_limited(self, policy: RatePolicy, clock: Arc<dyn Clock>) -> RateLimited<Self> {
        RateLimited::new(self, policy, clock)
    }

    /// Tries again what can be mended, within one deadline. See [`Retried`].
    fn retried(self, policy: RetryPolicy, clock: Arc<dyn Clock>) -> Retried<Self> {
        Retried::new(self, policy, clock)
    }

    /// Lets another executor stand in. See [`WithFallback`].
    fn with_fallback<F: Executor>(self, fallback: F) -> WithFallback<Self, F> {
        WithFallback::new(self, fallback)
    }
}

impl<E: Executor> ExecutorExt for E {}
