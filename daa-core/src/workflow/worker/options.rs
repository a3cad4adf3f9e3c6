//! What can be chosen about a worker.

use std::time::Duration;

/// The shortest lease, and the longest.
const LEASE: (Duration, Duration) = (Duration::from_millis(30), Duration::from_secs(24 * 3600));

/// What can be chosen about a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerOptions {
    pub(super) runs_at_once: usize,
    pub(super) lease: Duration,
    pub(super) skew: Duration,
    pub(super) retention: Option<Duration>,
}

impl Default for WorkerOptions {
    /// 256 runs at a time; a lease of 15 seconds; clocks that differ by up to a second.
    fn default() -> Self {
        Self {
            runs_at_once: 256,
            lease: Duration::from_secs(15),
            skew: Duration::from_secs(1),
            retention: None,
        }
    }
}

impl WorkerOptions {
    /// How many runs have something under way at a time, at least one. Runs that wait for a moment, a signal or a
    /// person do not count.
    #[must_use]
    pub fn with_runs_at_once(mut self, runs: usize) -> Self {
        self.runs_at_once = runs.max(1);
        self
    }

    /// How long a worker may be silent before others take its runs over; it says so three times as often. At least
    /// 30 milliseconds, and at most a day.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease.clamp(LEASE.0, LEASE.1);
        self
    }

    /// How long the history of a run stays in the store after the run has ended, and the runs that waited for it; then
    /// it is [archived](crate::workflow::WorkflowEngine::archive), which takes a store of artefacts. The plan of an
    /// agent stays until the agent has begun another, too. Without it histories stay where they are.
    #[must_use]
    pub const fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// By how much the clocks of the workers of a store may differ: others wait that much longer.
    #[must_use]
    pub const fn with_clock_skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }
}
