//! What became of a task that was with its executor.

use std::time::Duration;

use serde_json::Value;

use super::backoff::{next_try, wait};
use super::event::{ApprovalRequest, RunEvent, Task, Undone, Wait};
use super::failure::StepError;
use super::snapshot::LaneState;
use super::state::{Recorder, Run, Spot};
use crate::action::{Outcome, Pursuit};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::workflow::TraceContext;
use crate::workflow::definition::{Retry, Step, StepKind, Undo};

/// How long a request for approval stands that the rules ask for, where the workflow does not say it.
const ESCALATION: Duration = Duration::from_secs(7 * 24 * 3600);
/// When an executor is asked again that could not say what became of a task.
const RECHECKS: Retry = Retry {
    tries: None,
    first: Duration::from_secs(1),
    factor: 2.0,
    longest: Duration::from_secs(300),
    jitter: 0.5,
};

/// How long an executor may take at least to say what became of a task.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a task.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::workflow) enum TaskResult {
    Succeeded(Outcome),
    /// It had taken effect before this run asked for it, or before the run was interrupted.
    Replayed(Outcome),
    /// It took no effect.
    Failed {
        error: StepError,
        retryable: bool,
        /// When its executor says that trying again makes sense.
        after: Option<Duration>,
    },
    /// It took effect, and its output cannot be kept.
    Spoilt(StepError),
    /// Nobody can say at present.
    Unknown(String),
    /// Somebody has to approve of `subject` first.
    Asked {
        subject: Digest,
        ruleset: Digest,
        reason: String,
    },
}

/// What became of the undoing of a task.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::workflow) enum UndoResult {
    Done,
    Impossible,
    /// Another run undoes it, and says when that is over.
    Waiting,
    Failed {
        error: StepError,
        /// Whether trying again can help.
        retryable: bool,
    },
    /// Nobody can say at present.
    Unknown(String),
}

impl Run {
    /// Takes what became of a task.
    pub(in crate::workflow) fn ended(
        &mut self,
        task: &Task,
        result: TaskResult,
        now: Timestamp,
        out: &mut Recorder,
    ) {
        let Some(spot) = self.spot(task) else { return };
        if self.lane(spot).is_none_or(|lane| lane.state != LaneState::InFlight) {
            return;
        }
        let Some((step, _)) = self.step(spot.step) else { return };
        let (running, attached) = (!self.is_rolling_back(), self.state.started.attached);
        let replayed = matches!(result, TaskResult::Replayed(_));
        let event = match result {
            TaskResult::Succeeded(outcome) | TaskResult::Replayed(outcome) => {
                let sources = outcome.sources().clone();
                let Outcome { output, cost, .. } = outcome;
                match step.gives.check(task.step.as_str(), &output) {
                    Ok(()) => RunEvent::Succeeded { task: task.clone(), output, cost, replayed, sources },
                    Err(mismatch) => spoilt(task, StepError::Mismatch(mismatch.to_string()), output),
                }
            }
            // A plan wants the effect; only its description is lost.
            TaskResult::Spoilt(_) if attached => RunEvent::done(task.clone(), Value::Null),
            TaskResult::Spoilt(error) => spoilt(task, error, Value::Null),
            TaskResult::Failed { error, retryable, after } => {
                let again = (retryable && running).then(|| self.again(spot, after, now)).flatten();
                RunEvent::failed(task.clone(), error, again)
            }
            // Whoever performs an attached run reports at once what it cannot find out.
            TaskResult::Unknown(error) if attached => {
                let error = StepError::Uncertain(error);
                RunEvent::failed(task.clone(), error, None)
            }
            TaskResult::Unknown(error) => {
                let checks = self.lane(spot).map_or(0, |lane| lane.checks);
                let again = now + wait(&RECHECKS, self.id(), task, checks.saturating_add(1));
                RunEvent::Unknown { task: task.clone(), error: StepError::Uncertain(error), again }
            }
            TaskResult::Asked { reason, .. } if attached => {
                let error = StepError::Escalated { reason };
                RunEvent::failed(task.clone(), error, None)
            }
            TaskResult::Asked { .. } if !running => {
                let error = StepError::NotApproved;
                RunEvent::failed(task.clone(), error, None)
            }
            TaskResult::Asked { subject, ruleset, reason } => {
                let deadline = self.step(spot.step).and_then(|(_, state)| state.deadline);
                let (by, within) = match &step.kind {
                    StepKind::Approval(approval) => (approval.by.clone(), approval.within),
                    _ => (Vec::new(), self.definition.workflow.escalation.unwrap_or(ESCALATION)),
                };
                let number = self.lane(spot).map_or(0, |lane| lane.requests).saturating_add(1);
                let request = ApprovalRequest { number, subject, ruleset, by, reason };
                let until = [Some(now + within), deadline].into_iter().flatten().min();
                RunEvent::Waiting { task: task.clone(), on: Wait::Approval(request), until }
            }
        };
        self.record(event, now, out);
    }

    /// When a task is tried again, as its definition and its deadline allow.
    fn again(&self, spot: Spot, after: Option<Duration>, now: Timestamp) -> Option<Timestamp> {
        let (step, state) = self.step(spot.step)?;
        let (task, lane) = (self.task(spot)?, self.lane(spot)?);
        let again = next_try(&step.retry, self.id(), &task, lane.tries, now)?;
        let again = after.map_or(again, |after| again.max(now + after));
        state.deadline.is_none_or(|deadline| again < deadline).then_some(again)
    }

    /// Takes what became of the undoing of a task.
    pub(in crate::workflow) fn undo_ended(
        &mut self,
        task: &Task,
        result: UndoResult,
        now: Timestamp,
        out: &mut Recorder,
    ) {
        if self.undo_in_flight().as_ref() != Some(task) {
            return;
        }
        let event = match result {
            UndoResult::Waiting => return,
            UndoResult::Done => RunEvent::Undone { task: task.clone(), result: Undone::Done },
            UndoResult::Impossible => RunEvent::Undone { task: task.clone(), result: Undone::Impossible },
            UndoResult::Failed { error, retryable } => {
                let again = retryable.then(|| self.undo_again(task, now)).flatten();
                RunEvent::UndoFailed { task: task.clone(), error, again }
            }
            UndoResult::Unknown(error) => {
                // Whoever performs an attached run reports at once what it cannot find out.
                let again = (!self.state.started.attached).then(|| {
                    let checks = self.undo_checks(task).saturating_add(1);
                    now + wait(&RECHECKS, self.id(), task, checks)
                });
                RunEvent::UndoFailed { task: task.clone(), error: StepError::Uncertain(error), again }
            }
        };
        self.record(event, now, out);
    }

    fn undo_again(&self, task: &Task, now: Timestamp) -> Option<Timestamp> {
        let spot = self.spot(task)?;
        let (step, _) = self.step(spot.step)?;
        let tries = self.lane(spot)?.undo_tries;
        match &step.undo {
            Undo::Action { retry, .. } => next_try(retry, self.id(), task, tries, now),
            // Whoever performs an attached run reports at once what it could not undo.
            _ if self.state.started.attached => None,
            _ => next_try(&Retry::forever(), self.id(), task, tries, now),
        }
    }

    /// How often in a row nobody could say what became of the undoing of a task.
    fn undo_checks(&self, task: &Task) -> u32 {
        self.spot(task).and_then(|spot| self.lane(spot)).map_or(0, |lane| lane.undo_checks)
    }

    /// Who holds a place under a limit for a task.
    pub(super) fn holder(&self, task: &Task) -> String {
        format!("{}/{task}", self.id())
    }

    /// How long a task that begins now may take, by its own limit and that of its step.
    pub(in crate::workflow) fn time_limit(
        &self,
        task: &Task,
        now: impl FnOnce() -> Timestamp,
    ) -> Option<Duration> {
        let (step, state) = self.step(self.spot(task)?.step)?;
        let left = state.deadline.map(|deadline| deadline.since(now()));
        [step.try_timeout, left].into_iter().flatten().min()
    }

    /// How long the executor of a task, or of its undoing, may take to say what became of it: as long as a try,
    /// but never too short for an answer, whatever is left until the deadline; and longer each time.
    pub(in crate::workflow) fn patience(&self, task: &Task) -> Duration {
        let limit = self.definition_of(task).and_then(|step| step.try_timeout);
        let lane = self.spot(task).and_then(|spot| self.lane(spot));
        let checks = lane.map_or(0, |lane| lane.checks.max(lane.undo_checks));
        // Whoever performs an attached run has bounded how long it may take.
        let least = if self.state.started.attached { Duration::ZERO } else { PATIENCE };
        limit.map_or(PATIENCE, |limit| limit.max(least)).saturating_mul(checks.saturating_add(1))
    }

    /// How far the actions of the run are brought.
    pub(in crate::workflow) const fn pursuit(&self) -> Pursuit {
        // A plan asks once: what came to nothing is for the next plan to look at.
        if self.state.started.attached { Pursuit::Once } else { Pursuit::Again }
    }

    /// The longest silence of its executor.
    pub(in crate::workflow) fn heartbeat(&self, task: &Task) -> Option<Duration> {
        self.definition_of(task)?.heartbeat
    }

    /// The trace that a task belongs to: a child of the run's.
    pub(in crate::workflow) fn trace_of(&self, task: &Task) -> Option<TraceContext> {
        let trace = self.state.started.trace.as_ref()?;
        let label = Digest::builder("daa workflow span v1").field(self.id().as_str().as_bytes());
        Some(trace.child(&label.field(task.to_string().as_bytes()).finish()))
    }

    pub(in crate::workflow) fn definition_of(&self, task: &Task) -> Option<&Step> {
        self.definition.step(self.definition.index(task.step.as_str())?)
    }
}

fn spoilt(task: &Task, error: StepError, output: Value) -> RunEvent {
    RunEvent::Failed { task: task.clone(), error, again: None, effect: true, output }
}
