//! Act: steps and their compensation, through the gate and within the time limit.

use super::error::AgentError;
use super::lapse::{full_text, panic_text};
use super::limits::within;
use super::report::{StepResult, UndoResult};
use super::runtime::Agent;
use crate::action::{
    Action, ActionError, ActionState, ActionStatus, Context, Effect, Executor, GateError, Outcome, Performed,
};
use crate::id::ActionId;

impl Agent {
    /// Performs a step. What the gate or the executor say is a result; that the gate cannot record is an error,
    /// for then nobody knows what became of it.
    pub(super) async fn perform(&self, action: Action, context: Context) -> Result<StepResult, AgentError> {
        let id = action.id().clone();
        let executors = &self.parts.executors;
        let submitted = self.gate.submit(action, context, executors);
        match within(&*self.clock, self.parts.limits.action, submitted).await {
            Some(Ok(Performed { outcome, .. })) => Ok(StepResult::Succeeded { outcome }),
            Some(Err(error)) => {
                let error = settled(error)?;
                Ok(StepResult::failed(full_text(&error), effect_of(&error)))
            }
            None => self.overdue(&id).await,
        }
    }

    /// Finds out what became of an action that took too long and was let go.
    async fn overdue(&self, id: &ActionId) -> Result<StepResult, AgentError> {
        let limit = self.parts.limits.action;
        let late = format!("took longer than {limit:?}");
        let reconciled = self.gate.reconcile(id, &self.parts.executors);
        match within(&*self.clock, limit, reconciled).await {
            Some(Ok(ActionStatus { state: ActionState::Succeeded(outcome), .. })) => {
                Ok(StepResult::Succeeded { outcome })
            }
            Some(Ok(status)) => Ok(StepResult::Failed { error: late, uncertain: status.state.is_open() }),
            // It was let go before the decision was durable.
            Some(Err(GateError::Unknown { .. })) => Ok(StepResult::Failed { error: late, uncertain: false }),
            Some(Err(error)) => {
                let error = settled(error)?;
                Ok(StepResult::failed(format!("{late}; {}", full_text(&error)), Effect::Unknown))
            }
            None => Ok(StepResult::Failed { error: late, uncertain: true }),
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
            Err(error) => return Ok(UndoResult::Failed { error: full_text(&error) }),
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

fn effect_of(error: &GateError) -> Effect {
    match error {
        GateError::Failed(error) | GateError::Uncertain(error) => error.effect(),
        GateError::Denied { .. }
        | GateError::Escalated { .. }
        | GateError::Refused(_)
        | GateError::Expired { .. }
        | GateError::Unknown { .. }
        | GateError::FailedBefore { .. } => Effect::None,
        // The output was too large to keep, or another call performs the action.
        _ => Effect::Unknown,
    }
}
