//! How often and when something is tried again.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::super::duration_text;

/// How often and when something is tried again.
///
/// The wait before try *n + 1* is `first × factor^(n−1)`, at most `longest`, and then shortened at random by up to
/// `jitter` (a part from 0 to 1) of it. The random choice depends on nothing but run, step and try.
///
/// Where it is written down, it says how many tries there are, `tries: 5` or `tries: null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RetryForm")]
#[non_exhaustive]
pub struct Retry {
    /// How many tries there are in all; `None`: as many as the deadline allows.
    pub tries: Option<NonZeroU32>,
    /// The wait after the first.
    #[serde(with = "duration_text")]
    pub first: Duration,
    /// By how much each wait is longer than the one before it.
    pub factor: f64,
    /// The longest wait.
    #[serde(with = "duration_text")]
    pub longest: Duration,
    /// How much of a wait is random.
    pub jitter: f64,
}

impl Default for Retry {
    /// One try, no retry. The waits, if tries are added: 1 s, 2 s, 4 s, … at most 5 minutes, half of it random.
    fn default() -> Self {
        Self {
            tries: Some(NonZeroU32::MIN),
            first: Duration::from_secs(1),
            factor: 2.0,
            longest: Duration::from_secs(300),
            jitter: 0.5,
        }
    }
}

impl Retry {
    /// This many tries in all, at least one.
    #[must_use]
    pub fn times(tries: u32) -> Self {
        Self { tries: Some(NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN)), ..Self::default() }
    }

    /// As many tries as it takes.
    #[must_use]
    pub fn forever() -> Self {
        Self { tries: None, ..Self::default() }
    }

    /// Sets the first and the longest wait.
    #[must_use]
    pub const fn with_waits(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest;
        self
    }

    /// Sets by how much each wait is longer than the one before it.
    #[must_use]
    pub const fn with_factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Sets how much of a wait is random, from 0 to 1.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryForm {
    #[serde(default, deserialize_with = "said")]
    tries: Option<Option<NonZeroU32>>,
    #[serde(default, with = "duration_text::optional")]
    first: Option<Duration>,
    factor: Option<f64>,
    #[serde(default, with = "duration_text::optional")]
    longest: Option<Duration>,
    jitter: Option<f64>,
}

/// Null is something else than nothing.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<NonZeroU32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Waits between tries, and nobody knows how many tries.
#[derive(Debug, thiserror::Error)]
#[error("a retry says how many tries there are: tries: 5, or tries: null for as many as it takes")]
struct NoTries;

impl TryFrom<RetryForm> for Retry {
    type Error = NoTries;

    fn try_from(form: RetryForm) -> Result<Self, NoTries> {
        let default = Self::default();
        Ok(Self {
            tries: form.tries.ok_or(NoTries)?,
            first: form.first.unwrap_or(default.first),
            factor: form.factor.unwrap_or(default.factor),
            longest: form.longest.unwrap_or(default.longest),
            jitter: form.jitter.unwrap_or(default.jitter),
        })
    }
}
