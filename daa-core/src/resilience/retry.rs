//! When a failed action is tried again: the pure part.

use std::time::Duration;

use rand::Rng as _;

use crate::fault::Retry;
use crate::id::ActionId;
use crate::seed::Seed;

/// How often, how long apart, and how long in all an action is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    seed: Seed,
    max_attempts: u32,
    base: Duration,
    cap: Duration,
    deadline: Duration,
    budget: RetryBudget,
}

impl RetryPolicy {
    /// Four tries within one minute, waiting up to 100 ms, 200 ms, 400 ms between them, with the
    /// [default budget](RetryBudget::default). `seed` is where the jitter comes from; the jitter of one action
    /// does not depend on that of another.
    #[must_use]
    pub const fn new(seed: Seed) -> Self {
        Self {
            seed,
            max_attempts: 4,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(10),
            deadline: Duration::from_secs(60),
            budget: RetryBudget::new(10, 100),
        }
    }

    /// How often an action is tried in all; at least once.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// The longest wait after the first try, which doubles after each further one up to `cap`.
    #[must_use]
    pub const fn with_backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }

    /// How long all tries and waits may take together.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many retries all calls of the executor have together.
    #[must_use]
    pub const fn with_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// How long all tries and waits may take together.
    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) const fn budget(&self) -> RetryBudget {
        self.budget
    }

    /// How long to wait after try number `attempt` (from 1) failed in this way; `None` when it was the last.
    ///
    /// The wait is uniform between zero and the backoff (full jitter); when the error says how long to wait at
    /// least, that comes on top, so that those who were refused together do not come back together.
    #[must_use]
    pub fn delay(&self, action: &ActionId, attempt: u32, retry: Retry) -> Option<Duration> {
        let at_least = match retry {
            Retry::Never => return None,
            Retry::Now | Retry::Later => Duration::ZERO,
            Retry::After(span) => span,
        };
        if attempt >= self.max_attempts {
            return None;
        }
        if retry == Retry::Now {
            return Some(Duration::ZERO);
        }
        let seed = self.seed.child(action.as_str()).nth(u64::from(attempt));
        Some(at_least.saturating_add(jitter(seed, self.backoff(attempt))))
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let doubled = 2u32.saturating_pow(attempt.saturating_sub(1));
        self.base.saturating_mul(doubled).min(self.cap)
    }
}

/// Uniform between zero and `span`, in whole milliseconds.
pub(crate) fn jitter(seed: Seed, span: Duration) -> Duration {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let scaled = (u128::from(seed.rng().next_u64()) * (u128::from(millis) + 1)) >> 64;
    Duration::from_millis(u64::try_from(scaled).unwrap_or(millis))
}

/// Keeps retries a bounded share of all calls, so that they cannot multiply the load on something that is
/// already failing. Each call earns a part of a retry, each retry costs a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Hundredths of a retry.
    balance: u64,
    max: u64,
    earned: u64,
}

/// Hundredths of a retry in one retry.
const WHOLE: u64 = 100;

impl RetryBudget {
    /// Each call earns `percent` hundredths of a retry; at most `reserve` retries are saved up, and the budget
    /// starts with them.
    #[must_use]
    pub const fn new(percent: u8, reserve: u32) -> Self {
        let max = reserve as u64 * WHOLE;
        Self { balance: max, max, earned: percent as u64 }
    }

    /// Counts a call.
    pub fn earn(&mut self) {
        self.balance = (self.balance + self.earned).min(self.max);
    }

    /// Pays for a retry; `false` when the budget does not cover it.
    #[must_use]
    pub fn spend(&mut self) -> bool {
        let left = self.balance.checked_sub(WHOLE);
        self.balance = left.unwrap_or(self.balance);
        left.is_some()
    }
}

impl Default for RetryBudget {
    /// One retry for ten calls, and up to 100 saved up.
    fn default() -> Self {
        Self::new(10, 100)
    }
}
