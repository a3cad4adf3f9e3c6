//! What others see of a run.

use serde_json::Value;

use super::event::{Approval, ApprovalRequest, RunOutcome, RunStarted, Task, Wait};
use super::failure::{FailureCause, StepError};
use super::scope::RunScope;
use super::snapshot::{Lane, LaneState, Phase, StepPhase, UndoState};
use super::state::Run;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::StepName;
use crate::workflow::definition::{Path, Reached, Workflow};

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RunState {
    /// It goes on.
    Running,
    /// Nothing new is begun.
    Paused,
    /// What was done is being undone.
    RollingBack(FailureCause),
    /// It has come to its end.
    Ended(RunOutcome),
}

/// How far a task is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StepStatus {
    /// Others come first, or it is about to begin.
    Pending,
    /// It is with its executor.
    Running,
    /// It is tried again at this moment.
    Retrying(Timestamp),
    /// Nobody can say what became of it; its executor is asked again at this moment.
    Unknown(Timestamp),
    /// It waits.
    Waiting {
        /// For what.
        on: Wait,
        /// Until when, at most.
        until: Option<Timestamp>,
    },
    /// It is done.
    Succeeded,
    /// Its condition did not hold.
    Skipped,
    /// It failed.
    Failed(StepError),
    /// It was given up when the run failed.
    Dropped,
    /// It took effect, and is being undone.
    Undoing,
    /// It took effect, and was undone.
    Undone,
    /// It took effect, and could not be undone.
    NotUndone,
}

/// A task as others see it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepView {
    /// Which.
    pub task: Task,
    /// How far it is.
    pub status: StepStatus,
    /// How often it was tried.
    pub tries: u32,
    /// What it yields, once it has succeeded.
    pub output: Option<Value>,
    /// What its executor reported last.
    pub progress: Option<Value>,
    /// Who approved it, or turned it down.
    pub approval: Option<Approval>,
}

/// A run as others see it: complete, and of one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunView {
    /// How it began.
    pub started: RunStarted,
    /// When it began.
    pub at: Timestamp,
    /// The definition it follows now.
    pub definition: Digest,
    /// How far it is.
    pub state: RunState,
    /// Its variables.
    pub vars: Value,
    /// Its tasks, in the order of the definition.
    pub steps: Vec<StepView>,
}

impl RunView {
    /// How it ended; `None` as long as it has not.
    #[must_use]
    pub const fn outcome(&self) -> Option<&RunOutcome> {
        match &self.state {
            RunState::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// What it yields; `None` unless it has completed.
    #[must_use]
    pub const fn output(&self) -> Option<&Value> {
        match self.outcome() {
            Some(RunOutcome::Completed { output }) => Some(output),
            _ => None,
        }
    }

    /// The task of this step; the first, if it is done several times.
    #[must_use]
    pub fn step(&self, name: &StepName) -> Option<&StepView> {
        self.steps.iter().find(|step| step.task.step == *name)
    }

    /// The requests for approval that wait for an answer, and until when they stand.
    pub fn approvals(&self) -> impl Iterator<Item = (&Task, &ApprovalRequest, Option<Timestamp>)> {
        self.steps.iter().filter_map(|step| match &step.status {
            StepStatus::Waiting { on: Wait::Approval(request), until } => Some((&step.task, request, *until)),
            _ => None,
        })
    }
}

impl Run {
    /// The run as others see it.
    pub(in crate::workflow) fn view(&self) -> RunView {
        let state = match &self.state.phase {
            Phase::Ended(outcome) => RunState::Ended(outcome.clone()),
            _ if self.state.paused => RunState::Paused,
            Phase::RollingBack(cause) => RunState::RollingBack(cause.clone()),
            Phase::Running => RunState::Running,
        };
        let steps = self.definition.workflow.steps.iter().zip(&self.state.steps);
        let steps = steps.flat_map(|(step, state)| {
            let once = step.each.is_none() && step.repeat.is_none();
            let lanes: Vec<StepView> = if state.lanes.is_empty() {
                let status = match state.phase {
                    StepPhase::Skipped => StepStatus::Skipped,
                    StepPhase::Succeeded => StepStatus::Succeeded,
                    _ => StepStatus::Pending,
                };
                let output = (status == StepStatus::Succeeded).then(|| state.output.clone());
                let task = Task::new(step.name.clone(), 0);
                vec![StepView { task, status, tries: 0, output, progress: None, approval: None }]
            } else {
                let view = |(number, lane): (u32, &Lane)| {
                    let output = if once { &state.output } else { &lane.output };
                    view_of(Task::new(step.name.clone(), number), lane, output)
                };
                (0..).zip(&state.lanes).map(view).collect()
            };
            lanes
        });
        RunView {
            started: self.state.started.clone(),
            at: self.state.at,
            definition: self.state.definition,
            state,
            vars: self.state.vars.clone(),
            steps: steps.collect(),
        }
    }

    /// A value that the run knows.
    pub(in crate::workflow) fn lookup(&self, path: &Path) -> Value {
        path.resolve(&RunScope { run: self, spot: None }).into_owned()
    }

    /// How far a step is.
    pub(in crate::workflow) fn reached(&self, name: &StepName) -> Reached {
        let index = self.definition.index(name.as_str());
        let Some(step) = index.and_then(|index| self.state.steps.get(index.get())) else {
            return Reached::Nothing;
        };
        let undoing = |lane: &Lane| matches!(lane.undo, UndoState::InFlight | UndoState::Backoff { .. });
        match step.phase {
            _ if step.lanes.iter().any(undoing) => Reached::Undoing,
            StepPhase::Blocked => Reached::Nothing,
            StepPhase::Open => Reached::Begun,
            StepPhase::Succeeded | StepPhase::Skipped | StepPhase::Failed => Reached::Settled,
        }
    }

    /// What the approval was asked for that a task waits for.
    pub(in crate::workflow) fn asked_about(&self, task: &Task) -> Option<Digest> {
        match &self.lane(self.spot(task)?)?.state {
            LaneState::Waiting { on: Wait::Approval(request), .. } => Some(request.subject),
            _ => None,
        }
    }

    /// The rules under which the approval was asked for that a task waits for.
    pub(in crate::workflow) fn asked_under(&self, task: &Task) -> Option<Digest> {
        match &self.lane(self.spot(task)?)?.state {
            LaneState::Waiting { on: Wait::Approval(request), .. } => Some(request.ruleset),
            _ => None,
        }
    }

    /// The definition that the run follows.
    pub(in crate::workflow) fn workflow(&self) -> &Workflow {
        &self.definition.workflow
    }
}

fn view_of(task: Task, lane: &Lane, output: &Value) -> StepView {
    let status = match (&lane.state, lane.undo) {
        (_, UndoState::InFlight | UndoState::Backoff { .. }) => StepStatus::Undoing,
        (_, UndoState::Done) => StepStatus::Undone,
        (_, UndoState::Impossible | UndoState::GivenUp) => StepStatus::NotUndone,
        (LaneState::Due, _) => StepStatus::Pending,
        (LaneState::InFlight, _) => StepStatus::Running,
        (LaneState::Backoff { until }, _) => StepStatus::Retrying(*until),
        (LaneState::Unknown { again }, _) => StepStatus::Unknown(*again),
        (LaneState::Waiting { on, until }, _) => StepStatus::Waiting { on: on.clone(), until: *until },
        (LaneState::Done, _) => StepStatus::Succeeded,
        (LaneState::Failed { error }, _) => StepStatus::Failed(error.clone()),
        (LaneState::Dropped, _) => StepStatus::Dropped,
    };
    let output = (lane.state == LaneState::Done).then(|| output.clone());
    StepView {
        task,
        status,
        tries: lane.tries,
        output,
        progress: lane.progress.clone(),
        approval: lane.approval.clone(),
    }
}
