//! When something occurs again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cron::CronSchedule;
use super::error::ScheduleError;
use super::every::Every;
use crate::clock::Timestamp;

/// When something occurs again.
///
/// ```
/// # use daa_core::workflow::schedule::Recurrence;
/// let nightly: Recurrence = serde_json::from_str(r#"{ "cron": "0 2 * * *", "zone": "Europe/Berlin" }"#)?;
/// let steady: Recurrence = serde_json::from_str(r#"{ "every_ms": 60000, "anchor_ms": 5000 }"#)?;
/// # assert_ne!(nightly, steady);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawRecurrence", into = "RawRecurrence")]
#[non_exhaustive]
pub enum Recurrence {
    /// When the clock of a time zone shows what a pattern asks for.
    Cron(CronSchedule),
    /// At a fixed distance, whatever the clocks show.
    Every(Every),
}

impl Recurrence {
    /// The first occurrence after `moment`; `None` when there never is one.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.next_after(moment),
            Self::Every(every) => every.next_after(moment),
        }
    }

    /// The last occurrence not after `moment`, if there is one.
    #[must_use]
    pub fn latest_by(&self, moment: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.latest_by(moment),
            Self::Every(every) => every.latest_by(moment),
        }
    }

    /// The last `at_most` occurrences after `after` and not after `by`, in order.
    pub(super) fn latest_between(&self, after: Timestamp, by: Timestamp, at_most: usize) -> Vec<Timestamp> {
        let back = |at: Timestamp| self.latest_by(at).filter(|&occurrence| occurrence > after);
        let before = |at: &Timestamp| at.as_millis().checked_sub(1).map(Timestamp::from_millis);
        let mut found: Vec<_> =
            std::iter::successors(back(by), |at| before(at).and_then(back)).take(at_most).collect();
        found.reverse();
        found
    }
}

impl From<CronSchedule> for Recurrence {
    fn from(cron: CronSchedule) -> Self {
        Self::Cron(cron)
    }
}

impl From<Every> for Recurrence {
    fn from(every: Every) -> Self {
        Self::Every(every)
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecurrence {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor_ms: Option<Timestamp>,
}

impl TryFrom<RawRecurrence> for Recurrence {
    type Error = ScheduleError;

    fn try_from(raw: RawRecurrence) -> Result<Self, ScheduleError> {
        match raw {
            RawRecurrence { cron: Some(cron), zone: Some(zone), every_ms: None, anchor_ms: None } => {
                CronSchedule::new(&cron, &zone).map(Self::Cron)
            }
            RawRecurrence { cron: None, zone: None, every_ms: Some(millis), anchor_ms } => {
                let every = Every::new(Duration::from_millis(millis))?;
                Ok(Self::Every(every.with_anchor(anchor_ms.unwrap_or_default())))
            }
            _ => Err(ScheduleError::Shape),
        }
    }
}

impl From<Recurrence> for RawRecurrence {
    fn from(recurrence: Recurrence) -> Self {
        match recurrence {
            Recurrence::Cron(cron) => Self {
                cron: Some(cron.pattern().to_owned()),
                zone: Some(cron.zone().to_owned()),
                ..Self::default()
            },
            Recurrence::Every(every) => Self {
                every_ms: u64::try_from(every.period().as_millis()).ok(),
                anchor_ms: Some(every.anchor()),
                ..Self::default()
            },
        }
    }
}
