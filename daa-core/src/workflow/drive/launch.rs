//! How a task comes to its executor.

use serde_json::Value;

use super::Drive;
use crate::action::{Action, ActionError, Aim, Context, Endorsement, Pursuit, Seen};
use crate::digest::Digest;
use crate::failure_text::{error_text, shortened};
use crate::id::{ActionId, ActionKind};
use crate::workflow::flight::{Flight, How, Landed, Verdict};
use crate::workflow::leased::Leased;
use crate::workflow::run::{Run, StepError, Task, TaskResult};

impl Drive {
    pub(super) fn leased(&self) -> Leased {
        Leased::new(&self.parts, self.standing.clone())
    }

    pub(super) fn begin(&mut self, flight: Flight) {
        self.parts.counters.steps_begun.one();
        self.flights.push(flight.future);
        self.beats.push((flight.task, flight.beats, Seen::default()));
    }

    /// How a task that has just begun is performed.
    pub(super) fn how(&self, task: &Task) -> Result<Ready, StepError> {
        let first = self.run.is_first_try(task) && !self.known.contains(task);
        if !first || self.run.is_rolling_back() {
            return self.pursue(task);
        }
        match self.run.action(task) {
            Some(action) => Ok(Ready::Ask(action?, self.run.context(task))),
            None => self.pursue(task),
        }
    }

    /// How a task is performed whose action may have been asked for before.
    pub(super) fn pursue(&self, task: &Task) -> Result<Ready, StepError> {
        if let Some(action) = self.run.action(task) {
            let id = self.run.action_id(task).map_err(|error| StepError::OutOfBounds(error_text(&error)))?;
            let settle = self.run.is_rolling_back();
            let pursuit = if settle { Pursuit::Settle } else { self.run.pursuit() };
            let endorsement = self.run.approval(task).map(|approval| {
                Endorsement::new(
                    approval.by.clone(),
                    approval.subject,
                    approval.ruleset,
                    approval.at,
                    approval.expires,
                )
            });
            let (action, unasked) =
                action.map_or_else(|error| (None, Some(error)), |action| (Some(action), None));
            let aim = Aim { id, action, context: self.run.context(task), endorsement, pursuit };
            return Ok(Ready::Go(How::Pursue { aim, unasked }));
        }
        // A request for approval: asked under the rules that are in force now.
        let Some((subject, digest)) = self.run.subject(task) else {
            return Err(StepError::Mismatch("the step is no action".to_owned()));
        };
        let action = approval_action(&self.run, task, &subject)?;
        let ruleset = self.parts.gate.ruleset(&action, &self.run.context(task));
        let reason = match &subject {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let reason = shortened(reason);
        Ok(Ready::Decided(TaskResult::Asked { subject: digest, ruleset, reason }))
    }
}

/// How a task is performed.
pub(super) enum Ready {
    /// The gate is asked in the append.
    Ask(Action, Context),
    Go(How),
    /// It is clear already.
    Decided(TaskResult),
}

pub(super) fn bare(task: &Task, result: Verdict) -> Landed {
    Landed { task: task.clone(), ending: None, result, progress: None, found: Vec::new(), guard: None }
}

pub(super) fn no(task: &Task, error: StepError) -> Landed {
    bare(task, Verdict::Task(TaskResult::Failed { error, retryable: false, after: None }))
}

/// The action that stands for an answer to a request for approval, in the eyes of the rules.
pub(in crate::workflow) fn approval_action(
    run: &Run,
    task: &Task,
    subject: &Value,
) -> Result<Action, StepError> {
    let out_of_bounds = |error: ActionError| StepError::OutOfBounds(error.to_string());
    // Each answer is an action of its own: what was answered may have to be asked again.
    let (name, version) = (format!("{}/{task}/approval", run.id()), run.version().get());
    let digest = || Digest::builder("daa approval v1").field(name.as_bytes()).number(version).finish();
    let new = |id: String| {
        let id = ActionId::new(&id).map_err(|error| StepError::OutOfBounds(error.to_string()))?;
        Action::new(id, approve_kind(), run.started().actor.clone()).map_err(out_of_bounds)
    };
    // Where the names of run and step leave no room, a hash of them stands for all of it.
    let action = new(format!("{name}/{version}")).or_else(|_| new(format!("approval/{}", digest())));
    action.and_then(|action| {
        let action = action.with_params(serde_json::json!({
            "run": run.id().as_str(),
            "workflow": run.started().workflow.as_str(),
            "step": task.to_string(),
            "asked_by": run.started().actor.as_str(),
            "subject": subject,
        }));
        action.map_err(out_of_bounds)
    })
}

/// The kind of action that an approval is for the rules.
#[expect(clippy::expect_used, reason = "a constant of the id alphabet")]
fn approve_kind() -> ActionKind {
    ActionKind::new("workflow.approve").expect("a constant kind is an id")
}
