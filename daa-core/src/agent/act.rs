//! Act: steps and their compensation, through the gate and within the time limit.

use super::error::AgentError;
use super::limits::within;
use super::report::{StepResult, UndoResult};
use super::runtime::Agent;
use crate::action::{
    Action, ActionError, ActionState, ActionStatus, Context, Executor, GateError, Outcome, Performed,
};
use crate::failure_text::{error_text, panic_text};
use crate::id::ActionId;

impl Agent {
    /// Performs a step. What the gate or the executor say is a result; that the gate cannot record is an error,
    /// for then nobody knows what became of it.
    pub(super) async fn perform(&self, action: Action, context: Context) -> Result<StepResult, AgentError> {
        let id = action.id().clone();
        let limit = self.parts.limits.action;
        let submitted = self.gate.submit(action, context, &self.parts.executors);
        let error = match within(&*self.clock, limit, submitted).await {
            Some(Ok(Performed { outcome, replayed, .. })) => {
                return Ok(StepResult::Succeeded { outcome, replayed });
            }
            Some(Err(error)) => settled(error)?,
            None => return self.find_out(&id, format!("took longer than {limit:?}")).await,
        };
        let text = error_text(&error);
        match error {
            GateError::Denied { .. }
            | GateError::Escalated { .. }
            | GateError::Refused(_)
            | GateError::Expired { .. }
            | GateError::FailedBefore { .. } => Ok(StepResult::Failed { error: text, uncertain: false }),
            GateError::Failed(cause) => Ok(StepResult::failed(text, cause.effect())),
            GateError::Uncertain(_) | GateError::Invalid(_) => self.find_out(&id, text).await,
            // Its executor has just said that it does not know, or another call performs it.
            _ => Ok(StepResult::Failed { error: text, uncertain: true }),
        }
    }

    /// Finds out what became of an action that did not end well.
    async fn find_out(&self, id: &ActionId, error: String) -> Result<StepResult, AgentError> {
        let reconciled = self.gate.reconcile(id, &self.parts.executors);
        match within(&*self.clock, self.parts.limits.action, reconciled).await {
            Some(Ok(ActionStatus { state: ActionState::Succeeded(outcome), .. })) => {
                Ok(StepResult::Succeeded { outcome, replayed: false })
            }
            Some(Ok(status)) => Ok(StepResult::Failed { error, uncertain: status.state.is_open() }),
            // It came to an end before the decision was durable.
            Some(Err(GateError::Unknown { .. } | GateError::Invalid(_))) => {
                Ok(StepResult::Failed { error, uncertain: false })
            }
            Some(Err(cause)) => {
                let error = format!("{error}; {}", error_text(&settled(cause)?));
                Ok(StepResult::Failed { error, uncertain: true })
            }
            None => Ok(StepResult::Failed { error, uncertain: true }),
        }
    }

    /// Undoes a step through its executor's compensation, under the id `ID/undo`.
    pub(super) async fn undo(
        &self,
        action: &Action,
        outcome: &Outcome,
        context: Context,
    ) -> Result<UndoResult, AgentError> {
        let executors = &self.parts.executors;
        let compensation = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            executors.compensation(action, outcome)
        }));
        let compensation = match compensation {
            Ok(Some(compensation)) => renamed(&compensation, action),
            Ok(None) => return Ok(UndoResult::Impossible),
            Err(panic) => return Ok(UndoResult::Failed { error: panic_text(&*panic) }),
        };
        let result = match compensation {
            Ok(compensation) => self.perform(compensation, context).await?,
            Err(error) => return Ok(UndoResult::Failed { error: error_text(&error) }),
        };
        Ok(match result {
            StepResult::Succeeded { .. } => UndoResult::Undone,
            failed => UndoResult::Failed { error: failed.to_string() },
        })
    }
}

/// A compensation under an id of its own, so that it takes effect once, however often it is asked for.
fn renamed(compensation: &Action, undone: &Action) -> Result<Action, ActionError> {
    let text = format!("{}/undo", undone.id());
    let id = ActionId::new(&text).map_err(|_| ActionError::IdTooLong { len: text.len() })?;
    let action = Action::new(id, compensation.kind().clone(), undone.actor().clone())?
        .with_params(compensation.params().clone())?;
    Ok(match compensation.max_cost() {
        Some(cost) => action.with_max_cost(cost),
        None => action,
    })
}

/// Sorts out the errors after which nobody can say what became of the action before the store is back.
fn settled(error: GateError) -> Result<GateError, AgentError> {
    match error {
        GateError::Append(_) | GateError::Read(_) | GateError::Treasury(_) | GateError::Contended { .. } => {
            Err(AgentError::Gate(error))
        }
        error => Ok(error),
    }
}
