//! Act, as the machine decides it: step by step, and back again in reverse when one fails.

use std::sync::Arc;

use super::super::event::DaaEvent;
use super::super::journal::{PlannedCycle, Record};
use super::super::plan::{PlannedAction, Source};
use super::super::report::{StepReport, StepResult, UndoResult};
use super::super::state::Rollback;
use super::{Effect, Machine, Stage};
use crate::action::{Action, ActionError, Context};
use crate::failure_text::error_text;
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
        if let Some(rollback) = self.work.rollback.take_if(|rollback| rollback.failed == step) {
            return self.failed_again(rollback);
        }
        match self.action(step) {
            None => self.look_back(),
            Some(Ok(action)) => {
                self.stage = Stage::Act(step);
                vec![Effect::Perform { action, context: self.context() }]
            }
            Some(Err(error)) => {
                let error = error_text(&error);
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
                let undo = self.choose_undo(step);
                if undo.is_empty() {
                    return self.look_back();
                }
                self.stage = Stage::Halt;
                self.work.undo.clone_from(&undo);
                let record = Record::RollingBack { cycle: self.work.cycle, step, error, undo };
                self.apply(&record);
                vec![Effect::Record(vec![record])]
            }
            StepResult::Succeeded { .. } | StepResult::Skipped => {
                self.work.events.push(DaaEvent::ActionSucceeded { action, kind });
                self.act(step.saturating_add(1))
            }
        }
    }

    /// The steps before `failed` that are to be undone. One with an explicit id that was done before is left
    /// alone: it may be an earlier cycle's.
    fn choose_undo(&mut self, failed: usize) -> Vec<usize> {
        let planned = self.work.planned.clone();
        let explicit = |step: usize| {
            let plan = planned.as_ref().map(|planned| &planned.plan);
            plan.and_then(|plan| plan.steps.get(step)).is_some_and(|step| step.id.is_some())
        };
        let mut undo = Vec::new();
        for (step, report) in self.work.steps.iter_mut().enumerate().take(failed) {
            match report.result {
                StepResult::Succeeded { replayed: true, .. } if explicit(step) => {
                    report.undo = Some(UndoResult::Kept);
                }
                StepResult::Succeeded { .. } => undo.push(step),
                StepResult::Failed { .. } | StepResult::Skipped => {}
            }
        }
        undo
    }

    /// Goes on with the rollback that an earlier run began.
    fn failed_again(&mut self, rollback: Rollback) -> Vec<Effect> {
        let Rollback { failed, error, undo } = rollback;
        if let Some(report) = self.work.steps.get_mut(failed) {
            let (action, kind) = (report.id.clone(), report.kind.clone());
            // An earlier run knew whether; this one does not.
            report.result = StepResult::Failed { error: error.clone(), uncertain: true };
            self.work.events.push(DaaEvent::ActionFailed { action, kind, error, uncertain: true });
        }
        self.work.undo = undo;
        self.undo_next()
    }

    /// Undoes the last of the steps that are still to be undone, or looks back when there is none.
    pub(super) fn undo_next(&mut self) -> Vec<Effect> {
        while let Some(step) = self.work.undo.pop() {
            let Some(Ok(action)) = self.action(step) else { continue };
            let Some(report) = self.work.steps.get(step) else { continue };
            if let StepResult::Succeeded { outcome, .. } = &report.result {
                self.stage = Stage::Undo(step);
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
