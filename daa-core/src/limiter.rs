//! Rate limits that processes share.
//!
//! A [`RateLimiter`] grants tokens of a [`Quota`] per key, by one clock for all who ask. It is exact: of any span of
//! time it grants no more than a bucket holds that starts full and is refilled evenly, and it refuses nothing that the
//! bucket has. It counts in whole microseconds and exact fractions of them, never in floating point.
//!
//! [`MemoryRateLimiter`] limits within one process; `daa-store` does so on Redis. For an executor in one process there
//! is [`TokenBucket`](crate::resilience::TokenBucket), with waiting.
//!
//! ```
//! # use std::num::NonZeroU32;
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use daa_core::clock::ManualClock;
//! # use daa_core::limiter::*;
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = MemoryRateLimiter::new(Arc::new(ManualClock::default()));
//! let (customer, quota) = ("customer/17".try_into()?, Quota::new(2, Duration::from_secs(1)));
//! for left in [1, 0] {
//!     let decision = limiter.take(&customer, quota, NonZeroU32::MIN).await?;
//!     assert_eq!(decision.verdict, Verdict::Granted { left });
//! }
//! let decision = limiter.take(&customer, quota, NonZeroU32::MIN).await?;
//! assert_eq!(decision.verdict, Verdict::Refused { retry_after: Duration::from_millis(500) });
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
//! ```

mod contract;
mod error;
mod gcra;
mod memory;
mod quota;

pub use contract::{Decision, RateLimiter, Verdict};
pub use error::LimiterError;
pub use gcra::{FullAt, decide, left, retry_after};
pub use memory::MemoryRateLimiter;
pub use quota::{MAX_QUOTA, MAX_SPAN, Quota};

#[cfg(all(feature = "test-util", feature = "runtime"))]
pub mod testing;
