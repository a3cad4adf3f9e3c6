//! What an engine has done so far, in numbers.

use crate::counters::counters;

counters! {
    /// What an engine has done since it was built.
    WorkflowMetrics, "daa_workflow";
    /// Runs that were started here.
    runs_started,
    /// Runs that completed here.
    runs_completed,
    /// Runs that failed or were cancelled here, and were rolled back.
    runs_rolled_back,
    /// Runs that this engine took over from another worker, whose lease had ended.
    runs_taken_over,
    /// Tasks that were handed to an executor.
    steps_begun,
    /// Tasks that were done.
    steps_succeeded,
    /// Tries that failed.
    steps_failed,
    /// Tries whose outcome nobody could tell.
    steps_unknown,
    /// Tasks that were undone.
    steps_undone,
    /// Appends that others were faster with, so that a run was read again.
    conflicts,
    /// Writes of runs that another worker had taken over meanwhile; they were refused.
    fenced,
    /// Appends of events of runs.
    appends,
    /// Events of runs.
    events,
}
