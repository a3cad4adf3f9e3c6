//! When a failed service is started again: pure.

use std::time::Duration;

/// How often a service may fail in a row, and how long it rests after each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    max: u32,
    base: Duration,
    cap: Duration,
    stable_after: Duration,
}

impl RestartPolicy {
    /// Never started again.
    pub const NEVER: Self = Self::up_to(0);

    /// Started again at most this often in a row, after 100 ms, 200 ms, 400 ms and so on up to 30 seconds. A run
    /// of a minute or more makes the count begin anew.
    #[must_use]
    pub const fn up_to(restarts: u32) -> Self {
        Self {
            max: restarts,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(30),
            stable_after: Duration::from_secs(60),
        }
    }

    /// How long it rests after the first failure, which doubles after each further one up to `cap`.
    #[must_use]
    pub const fn with_backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }

    /// How long a run must last for earlier failures to be forgotten.
    #[must_use]
    pub const fn with_stable_after(mut self, span: Duration) -> Self {
        self.stable_after = span;
        self
    }

    /// How many failures in a row there are after a run of this length failed.
    #[must_use]
    pub(super) fn failures_after(&self, failures: u32, run: Duration) -> u32 {
        if run >= self.stable_after { 1 } else { failures.saturating_add(1) }
    }

    /// How long to rest after this many failures in a row, from 1; `None` when that was the last one.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Option<Duration> {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        (failures <= self.max).then(|| self.base.saturating_mul(doubled).min(self.cap))
    }
}
