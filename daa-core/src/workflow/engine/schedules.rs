//! Recurring starts.

use super::WorkflowEngine;
use crate::clock::Timestamp;
use crate::id::{RunId, ScheduleId};
use crate::workflow::calendar::{Calendar, Recurring, ScheduleView};
use crate::workflow::error::WorkflowError;

impl WorkflowEngine {
    /// Starts runs by themselves from now on, or replaces the schedule of this id. Its runs are named
    /// `SCHEDULE/MILLISECONDS`, and each starts once, however many workers there are.
    ///
    /// # Errors
    /// [`WorkflowError`]: what [`start`](Self::start) would refuse, or a store that is not available.
    pub async fn schedule(&self, recurring: Recurring) -> Result<(), WorkflowError> {
        let name = recurring.schedule.run_name(Timestamp::EPOCH);
        let named = |source| WorkflowError::Name { name: recurring.schedule.id().to_string(), source };
        let first = RunId::new(name).map_err(named)?;
        self.startable(&first, &recurring.workflow, &recurring.input)?;
        Calendar::set(&self.parts, recurring).await
    }

    /// Lets a schedule start nothing until it is resumed. What would have started meanwhile is not made up for.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownSchedule`], or a store that is not available.
    pub async fn pause_schedule(&self, schedule: &ScheduleId) -> Result<(), WorkflowError> {
        known(schedule, Calendar::pause(&self.parts, schedule, true).await?)
    }

    /// Lets a paused schedule go on.
    ///
    /// # Errors
    /// As [`Self::pause_schedule`].
    pub async fn resume_schedule(&self, schedule: &ScheduleId) -> Result<(), WorkflowError> {
        known(schedule, Calendar::pause(&self.parts, schedule, false).await?)
    }

    /// Removes a schedule; runs that were started go on.
    ///
    /// # Errors
    /// As [`Self::pause_schedule`].
    pub async fn unschedule(&self, schedule: &ScheduleId) -> Result<(), WorkflowError> {
        known(schedule, Calendar::remove(&self.parts, schedule).await?)
    }

    /// A schedule as it stands.
    ///
    /// # Errors
    /// As [`Self::pause_schedule`].
    pub async fn view_schedule(&self, schedule: &ScheduleId) -> Result<ScheduleView, WorkflowError> {
        let view = Calendar::view(&*self.parts.store, schedule).await?;
        view.ok_or_else(|| WorkflowError::UnknownSchedule { name: schedule.to_string() })
    }
}

fn known(schedule: &ScheduleId, known: bool) -> Result<(), WorkflowError> {
    if known { Ok(()) } else { Err(WorkflowError::UnknownSchedule { name: schedule.to_string() }) }
}
