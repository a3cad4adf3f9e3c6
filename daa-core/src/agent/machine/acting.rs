//! Act, as the machine decides it: step by step, and back again in reverse when one fails.

use std::sync::Arc;

use super::super::event::DaaEvent;
use super::super::journal::{PlannedCycle, Record};
use super::super::lapse::full_text;
use super::super::plan::{PlannedAction, Source};
use super::super::report::{StepReport, StepResult};
use super::{Effect, Machine, Stage};
use crate::action::{Action, ActionError, Context};
use crate::id::{ActionId, AgentId};

impl Machine {
    pub(super) fn prepare(&mut self, planned: Arc<PlannedCycle>) {
        let steps = planned.plan.steps.iter().enumerate().map(|(step, action)| StepReport {
            id: action.id.clone().unwrap_or_else(|| default_id(&self.config.agent, planned.cycle, step)),
            kind: action.kind.clone(),
            result: StepResult::Skipped,
            undo: None,
        });
        self.work.steps = steps.collect();
        self.work.planned = Some(planned);
    }

    /// Performs the step, or looks back when there is none.
    pub(super) fn act(&mut self, step: usize) -> Vec<Effect> {
        if self.work.failed_before.as_ref().is_some_and(|(failed, _)| *failed == step)
            && let Some((_, error)) = self.work.failed_before.take()
        {
            return self.failed_again(step, error);
        }
        match self.action(step) {
            None => self.look_back(),
            Some(Ok(action)) => {
                self.stage = Stage::Act(step);
                vec![Effect::Perform { action, context: self.context() }]
            }
            Some(Err(error)) => {
                let error = full_text(&error);
                self.performed(step, StepResult::Failed { error, uncertain: false })
            }
        }
    }

    fn action(&self, step: usize) -> Option<Result<Action, ActionError>> {
        let planned = self.work.plan()?.steps.get(step)?;
        let report = self.work.steps.get(step)?;
        let action = Action::new(report.id.clone(), planned.kind.clone(), self.config.agent.clone());
        let action = action.and_then(|action| action.with_params(planned.params.clone()));
        Some(action.map(|action| match planned.max_cost {
            Some(cost) => action.with_max_cost(cost),
            None => action,
        }))
    }

    fn context(&self) -> Context {
        self.work.planned.as_ref().map(|planned| planned.context.clone()).unwrap_or_default()
    }

    pub(super) fn performed(&mut self, step: usize, result: StepResult) -> Vec<Effect> {
        let Some(report) = self.work.steps.get_mut(step) else { return Vec::new() };
        report.result = result.clone();
        let (action, kind) = (report.id.clone(), report.kind.clone());
        match result {
            StepResult::Failed { error, uncertain } => {
                self.work.events.push(DaaEvent::ActionFailed {
                    action,
                    kind,
                    error: error.clone(),
                    uncertain,
                });
                if step == 0 {
                    return self.look_back();
                }
                self.stage = Stage::Halt(step);
                let record = Record::RollingBack { cycle: self.work.cycle, step, error };
                self.apply(&record);
                vec![Effect::Record(vec![record])]
            }
            StepResult::Succeeded { .. } | StepResult::Skipped => {
                self.work.events.push(DaaEvent::ActionSucceeded { action, kind });
                self.act(step.saturating_add(1))
            }
        }
    }

    /// Goes on rolling back from where an earlier run began to.
    fn failed_again(&mut self, step: usize, error: String) -> Vec<Effect> {
        if let Some(report) = self.work.steps.get_mut(step) {
            let (action, kind) = (report.id.clone(), report.kind.clone());
            // An earlier run knew whether; this one does not.
            report.result = StepResult::Failed { error: error.clone(), uncertain: true };
            self.work.events.push(DaaEvent::ActionFailed { action, kind, error, uncertain: true });
        }
        self.undo_before(step)
    }

    /// Undoes the last of the steps before `step` that succeeded, or looks back when none did.
    pub(super) fn undo_before(&mut self, step: usize) -> Vec<Effect> {
        for before in (0..step).rev() {
            let Some(Ok(action)) = self.action(before) else { continue };
            let Some(report) = self.work.steps.get(before) else { continue };
            if let StepResult::Succeeded { outcome } = &report.result {
                self.stage = Stage::Undo(before);
                let context = self.context().with("undo_of", action.id().as_str());
                return vec![Effect::Undo { action, outcome: outcome.clone(), context }];
            }
        }
        self.look_back()
    }

    fn look_back(&mut self) -> Vec<Effect> {
        let wants = |step: &PlannedAction| {
            step.expect.as_ref().is_some_and(|expect| matches!(expect.source, Source::Metric(_)))
        };
        if self.work.plan().is_some_and(|plan| plan.steps.iter().any(wants)) {
            self.stage = Stage::Measure;
            self.metrics.carry();
            return vec![Effect::Collect((0..self.config.collectors.len()).collect())];
        }
        self.reflect()
    }
}

/// Ids are made of the agent's; one that leaves no room is caught when the agent is built.
#[expect(
    clippy::expect_used,
    reason = "the builder bounds the agent's id, and the rest is of the id alphabet"
)]
fn default_id(agent: &AgentId, cycle: u64, step: usize) -> ActionId {
    ActionId::new(format!("{agent}/{cycle}/{step}")).expect("the builder checked that there is room")
}
