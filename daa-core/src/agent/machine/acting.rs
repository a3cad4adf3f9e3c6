//! Act, as the machine sees it: a plan goes out, and what became of its steps comes back.

use std::sync::Arc;

use super::super::event::DaaEvent;
use super::super::journal::PlannedCycle;
use super::super::plan::{PlannedAction, Source};
use super::super::report::{StepReport, StepResult};
use super::{Effect, Machine, Stage};

impl Machine {
    /// Has the durable plan performed, or brought to its end where an earlier run began it.
    pub(super) fn act(&mut self, planned: Arc<PlannedCycle>) -> Vec<Effect> {
        self.work.planned = Some(planned.clone());
        self.stage = Stage::Act;
        vec![Effect::Act { planned, resumed: self.work.resumed }]
    }

    pub(super) fn acted(&mut self, steps: Vec<StepReport>) -> Vec<Effect> {
        self.work.events.extend(steps.iter().filter_map(event));
        self.work.steps = steps;
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

/// What those who watch hear of a step.
fn event(step: &StepReport) -> Option<DaaEvent> {
    let (action, kind) = (step.id.clone(), step.kind.clone());
    match &step.result {
        StepResult::Succeeded { .. } => Some(DaaEvent::ActionSucceeded { action, kind }),
        StepResult::Failed { error, uncertain } => {
            Some(DaaEvent::ActionFailed { action, kind, error: error.clone(), uncertain: *uncertain })
        }
        StepResult::Skipped => None,
    }
}
