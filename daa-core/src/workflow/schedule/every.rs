//! Occurrences at a fixed distance.

use std::time::Duration;

use super::error::ScheduleError;
use crate::clock::Timestamp;

/// One occurrence at the anchor, and one after each period from there on; none before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Every {
    /// Milliseconds, never zero.
    period: u64,
    anchor: Timestamp,
}

impl Every {
    /// Occurrences every `period`, the first one at the epoch.
    ///
    /// # Errors
    /// [`ScheduleError::Period`] when the period is zero, or not whole milliseconds.
    pub fn new(period: Duration) -> Result<Self, ScheduleError> {
        let millis = u64::try_from(period.as_millis()).map_err(|_| ScheduleError::Period)?;
        if millis == 0 || Duration::from_millis(millis) != period {
            return Err(ScheduleError::Period);
        }
        Ok(Self { period: millis, anchor: Timestamp::EPOCH })
    }

    /// The first occurrence, from which the others are counted.
    #[must_use]
    pub const fn with_anchor(mut self, anchor: Timestamp) -> Self {
        self.anchor = anchor;
        self
    }

    /// From one occurrence to the next.
    #[must_use]
    pub const fn period(&self) -> Duration {
        Duration::from_millis(self.period)
    }

    /// The first occurrence.
    #[must_use]
    pub const fn anchor(&self) -> Timestamp {
        self.anchor
    }

    /// The first occurrence after `moment`; `None` when it would be past the end of time.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match self.latest_by(moment) {
            Some(latest) => latest.as_millis().checked_add(self.period).map(Timestamp::from_millis),
            None => Some(self.anchor),
        }
    }

    /// The last occurrence not after `moment`; `None` before the anchor.
    #[must_use]
    pub fn latest_by(&self, moment: Timestamp) -> Option<Timestamp> {
        let since = moment.as_millis().checked_sub(self.anchor.as_millis())?;
        let into = since.checked_rem(self.period)?;
        Some(Timestamp::from_millis(moment.as_millis() - into))
    }
}
