//! Times that trigger rules.

use std::fmt;

use daa_core::clock::Timestamp;
#[cfg(feature = "schedule")]
use daa_core::workflow::schedule::CronSchedule;

/// A cron pattern in a time zone, as [`CronSchedule`](daa_core::workflow::schedule::CronSchedule) reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronTrigger {
    #[cfg(feature = "schedule")]
    cron: CronSchedule,
    /// Without the feature `schedule` there is none.
    #[cfg(not(feature = "schedule"))]
    never: std::convert::Infallible,
}

#[cfg(feature = "schedule")]
impl CronTrigger {
    /// Reads a pattern and the name of a zone; on failure says what is wrong.
    pub(crate) fn parse(pattern: &str, zone: &str) -> Result<Self, String> {
        CronSchedule::new(pattern, zone).map(|cron| Self { cron }).map_err(|error| error.to_string())
    }

    /// The first occurrence after a moment; `None` when there never is one.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        self.cron.next_after(moment)
    }

    /// The last occurrence after `after`, and not after `now`.
    pub(crate) fn latest(&self, after: Timestamp, now: Timestamp) -> Option<Timestamp> {
        self.cron.latest_by(now).filter(|occurrence| *occurrence > after)
    }
}

#[cfg(not(feature = "schedule"))]
impl CronTrigger {
    /// The first occurrence after a moment; `None` when there never is one.
    #[must_use]
    pub const fn next_after(&self, _: Timestamp) -> Option<Timestamp> {
        match self.never {}
    }

    pub(crate) const fn latest(&self, _: Timestamp, _: Timestamp) -> Option<Timestamp> {
        match self.never {}
    }
}

#[cfg(feature = "schedule")]
impl fmt::Display for CronTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cron.fmt(f)
    }
}

#[cfg(not(feature = "schedule"))]
impl fmt::Display for CronTrigger {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.never {}
    }
}
