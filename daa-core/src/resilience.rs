//! Wrappers that keep an [`Executor`] well behaved when the world is not.
//!
//! Each wrapper is an executor itself, so they compose; each reads time from an injected
//! [`Clock`](crate::clock::Clock), and each takes its decisions in a small state machine without I/O
//! ([`Breaker`], [`TokenBucket`], [`RetryBudget`]) that can be used, and tested, alone.
//!
//! # The order
//!
//! From the outside in: **deadline, retry, limiter, breaker, bulkhead, time limit per try**. So every try is
//! limited, counted and cut short by itself, and one deadline bounds them all. [`Retried`] holds the deadline.
//! Each method of [`ExecutorExt`] wraps what it is called on, so the chain reads from the inside out:
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use daa_core::action::Executor;
//! # use daa_core::clock::Clock;
//! # use daa_core::resilience::*;
//! # use daa_core::seed::Seed;
//! fn hardened(executor: impl Executor, standby: impl Executor, clock: Arc<dyn Clock>) -> impl Executor {
//!     executor
//!         .time_limited(Duration::from_secs(5), clock.clone())
//!         .bulkheaded(BulkheadPolicy::new(8).with_waiting(32, Duration::from_secs(1)), clock.clone())
//!         .circuit_broken(BreakerPolicy::consecutive(5), clock.clone())
//!         .rate_limited(RatePolicy::new(100, Duration::from_secs(1)), clock.clone())
//!         .retried(RetryPolicy::new(Seed::from_u64(7)).with_deadline(Duration::from_secs(30)), clock)
//!         .with_fallback(standby)
//! }
//! ```
//!
//! # What is never done
//!
//! Neither [`Retried`] nor [`WithFallback`] tries again after an error with [`Effect::Unknown`]: the first try
//! may have taken effect, and only [`Gate::reconcile`] can tell.
//!
//! [`Effect::Unknown`]: crate::action::Effect::Unknown
//! [`Executor`]: crate::action::Executor
//! [`Gate::reconcile`]: crate::action::Gate::reconcile

mod breaker;
mod bucket;
mod bulkheaded;
mod circuit_broken;
mod ext;
mod fallback;
mod rate_limited;
mod retried;
mod retry;
mod time_limited;

pub use breaker::{Breaker, BreakerPhase, BreakerPolicy, Observation, Ticket};
pub use bucket::{RatePolicy, TokenBucket};
pub use bulkheaded::{BulkheadPolicy, Bulkheaded};
pub use circuit_broken::CircuitBroken;
pub use ext::ExecutorExt;
pub use fallback::WithFallback;
pub use rate_limited::RateLimited;
pub use retried::Retried;
#[cfg(feature = "runtime")]
pub(crate) use retry::jitter;
pub use retry::{RetryBudget, RetryPolicy};
pub use time_limited::TimeLimited;
#[cfg(feature = "runtime")]
pub(crate) use time_limited::within;
