//! Act: the plan as a run of the workflow engine.

use std::sync::Arc;
use std::time::Duration;

use super::error::AgentError;
use super::journal::PlannedCycle;
use super::report::{StepReport, StepResult, UndoResult};
use super::runtime::{Agent, Interruption};
use crate::failure_text::shortened;
use crate::id::{ActionId, AgentId, IdError, RunId, WorkerName, WorkflowName};
use crate::workflow::{
    ActionOfPlan, ActionPlan, Attached, Claim, Halt, StepEnd, StepError, UndoEnd, WorkflowError,
};

/// The name of the workflow that every plan of an agent is.
const PLAN: &str = "agent.plan";

impl Agent {
    /// Performs a plan, or goes on with one that an earlier call began, and reports on every step of it. What the
    /// gate or the executors say is a result; that it cannot be recorded is an error, for then nobody knows what
    /// became of it.
    pub(super) async fn act(
        &self,
        planned: Arc<PlannedCycle>,
        resumed: bool,
    ) -> Result<Vec<StepReport>, Interruption> {
        let attached = self.attached(&planned).map_err(AgentError::from)?;
        let ids: Vec<ActionId> = attached.plan.actions.iter().map(|action| action.id.clone()).collect();
        match attached.perform(resumed).await {
            Ok(ends) => {
                let steps = planned.plan.steps.iter().zip(ids).zip(ends);
                Ok(steps.map(|((step, id), end)| report(id, step.kind.clone(), end)).collect())
            }
            // Reading the agent's stream tells whether it was another instance.
            Err(Halt::Lost) => Err(Interruption::Conflict),
            Err(Halt::Failed(error)) => Err(AgentError::from(error).into()),
        }
    }

    fn attached(&self, planned: &PlannedCycle) -> Result<Attached, IdError> {
        let plan = action_plan(&self.id, planned, Some(self.parts.limits.action))?;
        Ok(Attached {
            store: self.store.clone(),
            clock: self.clock.clone(),
            gate: self.gate.clone(),
            executors: self.parts.executors.clone(),
            run: run_id(&self.id, planned.cycle)?,
            actor: self.id.clone(),
            claim: Claim { worker: worker_name(&self.id)?, incarnation: self.incarnation },
            plan,
        })
    }
}

/// The plan of a cycle, as those who perform it need it. `limit`: how long each action may take.
pub(super) fn action_plan(
    agent: &AgentId,
    planned: &PlannedCycle,
    limit: Option<Duration>,
) -> Result<ActionPlan, IdError> {
    let cycle = planned.cycle;
    let action = |(at, step): (usize, &super::plan::PlannedAction)| {
        let id = match &step.id {
            Some(id) => id.clone(),
            None => ActionId::new(format!("{agent}/{cycle}/{at}"))?,
        };
        Ok(ActionOfPlan {
            id,
            shared: step.id.is_some(),
            kind: step.kind.clone(),
            params: step.params.clone(),
            max_cost: step.max_cost,
        })
    };
    let actions: Result<Vec<_>, IdError> = planned.plan.steps.iter().enumerate().map(action).collect();
    let (name, context) = (WorkflowName::new(PLAN)?, planned.context.clone());
    Ok(ActionPlan { name, context, limit, actions: actions? })
}

/// The run that performs the plan of a cycle.
pub(super) fn run_id(agent: &AgentId, cycle: u64) -> Result<RunId, IdError> {
    RunId::new(format!("agent/{agent}/{cycle}"))
}

/// The agent as a performer of runs.
fn worker_name(agent: &AgentId) -> Result<WorkerName, IdError> {
    WorkerName::new(format!("agent/{agent}"))
}

fn report(id: ActionId, kind: crate::id::ActionKind, end: StepEnd) -> StepReport {
    let (result, undo) = match end {
        StepEnd::Succeeded { outcome, replayed, undo } => {
            (StepResult::Succeeded { outcome, replayed }, undo.map(undone))
        }
        StepEnd::Failed(error) => {
            let (error, uncertain) = told(error);
            (StepResult::Failed { error, uncertain }, None)
        }
        StepEnd::Skipped => (StepResult::Skipped, None),
    };
    StepReport { id, kind, result, undo }
}

fn undone(end: UndoEnd) -> UndoResult {
    match end {
        UndoEnd::Undone => UndoResult::Undone,
        UndoEnd::Impossible => UndoResult::Impossible,
        UndoEnd::Kept => UndoResult::Kept,
        UndoEnd::Failed(error) => {
            UndoResult::Failed { error: error.map(|error| shortened(error.to_string())).unwrap_or_default() }
        }
    }
}

/// Why a step failed, and whether it may have taken effect all the same.
fn told(error: StepError) -> (String, bool) {
    match error {
        StepError::Uncertain(error) => (error, true),
        error => (shortened(error.to_string()), false),
    }
}

impl From<WorkflowError> for AgentError {
    fn from(error: WorkflowError) -> Self {
        match error {
            WorkflowError::Gate(error) => Self::Gate(error),
            WorkflowError::Append(error) => Self::Append(error),
            WorkflowError::Read(error) => Self::Read(error),
            error => Self::Act(Box::new(error)),
        }
    }
}
