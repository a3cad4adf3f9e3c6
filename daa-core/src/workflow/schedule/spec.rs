//! The description of a schedule.

use serde::{Deserialize, Serialize};

use super::error::ScheduleError;
use super::policy::{MAX_CATCH_UP, MissedRuns, Overlap};
use super::recurrence::Recurrence;
use crate::clock::Timestamp;
use crate::id::ScheduleId;
use crate::workflow::MAX_RUN_ID;

/// The longest id of a schedule, in bytes: a slash and the longest timestamp must fit behind it.
pub const MAX_SCHEDULE_ID_LEN: usize = MAX_RUN_ID - 21;

/// When runs start, and what happens when they cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawSchedule", into = "RawSchedule")]
pub struct Schedule {
    id: ScheduleId,
    recurrence: Recurrence,
    missed: MissedRuns,
    overlap: Overlap,
}

impl Schedule {
    /// A schedule that makes up for the latest missed run, and skips an occurrence while a run is open.
    ///
    /// # Errors
    /// [`ScheduleError::IdTooLong`] when no run could be named after the id.
    pub fn new(id: ScheduleId, recurrence: impl Into<Recurrence>) -> Result<Self, ScheduleError> {
        let len = id.as_str().len();
        if len > MAX_SCHEDULE_ID_LEN {
            return Err(ScheduleError::IdTooLong { len });
        }
        Ok(Self {
            id,
            recurrence: recurrence.into(),
            missed: MissedRuns::default(),
            overlap: Overlap::default(),
        })
    }

    /// What becomes of occurrences that passed unseen.
    ///
    /// # Errors
    /// [`ScheduleError::CatchUp`] when more than [`MAX_CATCH_UP`] would be made up for.
    pub fn with_missed(mut self, missed: MissedRuns) -> Result<Self, ScheduleError> {
        match missed {
            MissedRuns::RunAll { at_most } if at_most.get() > MAX_CATCH_UP => {
                Err(ScheduleError::CatchUp { at_most: at_most.get() })
            }
            _ => {
                self.missed = missed;
                Ok(self)
            }
        }
    }

    /// What happens when the run of the last occurrence is still open.
    #[must_use]
    pub fn with_overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &ScheduleId {
        &self.id
    }

    /// When it occurs.
    #[must_use]
    pub const fn recurrence(&self) -> &Recurrence {
        &self.recurrence
    }

    /// What becomes of occurrences that passed unseen.
    #[must_use]
    pub const fn missed(&self) -> MissedRuns {
        self.missed
    }

    /// What happens when the run of the last occurrence is still open.
    #[must_use]
    pub const fn overlap(&self) -> Overlap {
        self.overlap
    }

    /// The name of the run that an occurrence starts: `{schedule}/{milliseconds since the epoch}`.
    ///
    /// Always a valid id, and never that of another schedule or occurrence; so of two workers that start the same
    /// occurrence, one finds the run started.
    #[must_use]
    pub fn run_name(&self, occurrence: Timestamp) -> String {
        format!("{}/{}", self.id, occurrence.as_millis())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSchedule {
    id: ScheduleId,
    recurrence: Recurrence,
    #[serde(default)]
    missed: MissedRuns,
    #[serde(default)]
    overlap: Overlap,
}

impl TryFrom<RawSchedule> for Schedule {
    type Error = ScheduleError;

    fn try_from(raw: RawSchedule) -> Result<Self, ScheduleError> {
        Ok(Self::new(raw.id, raw.recurrence)?.with_missed(raw.missed)?.with_overlap(raw.overlap))
    }
}

impl From<Schedule> for RawSchedule {
    fn from(schedule: Schedule) -> Self {
        let Schedule { id, recurrence, missed, overlap } = schedule;
        Self { id, recurrence, missed, overlap }
    }
}
