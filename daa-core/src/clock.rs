//! Time as a dependency: nothing below the edge of the process reads a clock by itself.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// Wraps milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the end of time rather than wrapping.
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Tells the time, and waits.
#[async_trait]
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment. Never goes back.
    fn now(&self) -> Timestamp;

    /// Waits until `deadline`; returns at once when it has passed.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    async fn sleep_until(&self, deadline: Timestamp);

    /// Waits for `span`.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now() + span).await;
    }
}

#[cfg(feature = "runtime")]
mod system {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::{Clock, Timestamp, async_trait};

    /// The clock of the machine. When the machine's time is set back, this one stands still until it has caught
    /// up.
    #[derive(Clone, Debug, Default)]
    pub struct SystemClock {
        latest: Arc<AtomicU64>,
    }

    impl SystemClock {
        /// The machine's clock.
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }
    }

    #[async_trait]
    impl Clock for SystemClock {
        fn now(&self) -> Timestamp {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let wall = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
            // Most moments are of the same millisecond: then nothing is written that others read.
            let latest = self.latest.load(Ordering::Relaxed);
            if latest >= wall {
                return Timestamp(latest);
            }
            Timestamp(self.latest.fetch_max(wall, Ordering::Relaxed).max(wall))
        }

        async fn sleep_until(&self, deadline: Timestamp) {
            tokio::time::sleep(deadline.since(self.now())).await;
        }
    }
}

#[cfg(feature = "runtime")]
pub use system::SystemClock;

#[cfg(all(feature = "test-util", feature = "runtime"))]
mod virtual_time {
    use async_trait::async_trait;
    use tokio::time::Instant;

    use super::{Clock, Timestamp};

    /// A clock that follows the time of the tokio runtime it is made in. Where that is paused
    /// (`#[tokio::test(start_paused = true)]`), time passes only when nothing else happens, and then at once: a wait of
    /// days costs nothing.
    #[derive(Clone, Copy, Debug)]
    pub struct VirtualClock {
        start: Timestamp,
        base: Instant,
    }

    impl VirtualClock {
        /// A clock that shows `start` now.
        #[must_use]
        pub fn new(start: Timestamp) -> Self {
            Self { start, base: Instant::now() }
        }
    }

    #[async_trait]
    impl Clock for VirtualClock {
        fn now(&self) -> Timestamp {
            self.start + self.base.elapsed()
        }

        async fn sleep_until(&self, deadline: Timestamp) {
            // A moment that cannot be told in instants lies behind the end of every test.
            match self.base.checked_add(deadline.since(self.start)) {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(all(feature = "test-util", feature = "runtime"))]
pub use virtual_time::VirtualClock;

#[cfg(feature = "test-util")]
mod manual {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::watch;

    use super::{Clock, Timestamp, async_trait};

    /// A clock that moves only when it is told to.
    #[derive(Clone, Debug)]
    pub struct ManualClock {
        now: Arc<watch::Sender<Timestamp>>,
    }

    impl ManualClock {
        /// A clock that stands at `start`.
        #[must_use]
        pub fn new(start: Timestamp) -> Self {
            Self { now: Arc::new(watch::Sender::new(start)) }
        }

        /// Moves the clock on and wakes those whose deadline has come.
        pub fn advance(&self, span: Duration) {
            self.now.send_modify(|now| *now = *now + span);
        }
    }

    impl Default for ManualClock {
        fn default() -> Self {
            Self::new(Timestamp::EPOCH)
        }
    }

    #[async_trait]
    impl Clock for ManualClock {
        fn now(&self) -> Timestamp {
            *self.now.borrow()
        }

        async fn sleep_until(&self, deadline: Timestamp) {
            let mut now = self.now.subscribe();
            // The sender lives in `self`, so waiting ends only when the deadline has come.
            let _ = now.wait_for(|now| *now >= deadline).await;
        }
    }
}

#[cfg(feature = "test-util")]
pub use manual::ManualClock;

#[cfg(all(test, feature = "runtime"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_only_when_their_time_has_come() {
        let clock = ManualClock::default();
        let sleeper = {
            let clock = clock.clone();
            tokio::spawn(async move {
                clock.sleep(Duration::from_millis(10)).await;
                clock.now()
            })
        };
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_millis(1));
        assert_eq!(sleeper.await.unwrap(), Timestamp::from_millis(10));
    }

    #[test]
    fn adding_a_long_span_saturates() {
        assert_eq!(Timestamp::from_millis(1) + Duration::MAX, Timestamp::from_millis(u64::MAX));
    }

    #[test]
    fn the_system_clock_never_goes_back() {
        let clock = SystemClock::new();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
