//! What became of each step of a plan.

use super::failure::StepError;
use super::snapshot::{Lane, LaneState, UndoState};
use super::state::Run;
use crate::action::Outcome;

/// What became of a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StepEnd {
    Succeeded {
        outcome: Outcome,
        /// It had taken effect before the run asked for it.
        replayed: bool,
        /// What became of undoing it; `None` when there was no reason to.
        undo: Option<UndoEnd>,
    },
    Failed(StepError),
    /// It was not tried.
    Skipped,
}

/// What became of undoing a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum UndoEnd {
    Undone,
    Impossible,
    /// Somebody else may have done it, so it was left alone.
    Kept,
    Failed(Option<StepError>),
}

impl Run {
    /// What became of each step, in the order of the definition; of steps that are done once.
    pub(in crate::workflow) fn tally(&self) -> Vec<StepEnd> {
        let steps = self.definition.workflow.steps.iter().zip(&self.state.steps);
        let of = |(step, state): (&crate::workflow::Step, &super::snapshot::StepState)| {
            let Some(lane) = state.lanes.first() else { return StepEnd::Skipped };
            match &lane.state {
                LaneState::Done => StepEnd::Succeeded {
                    outcome: Outcome::of(state.output.clone(), lane.cost)
                        .with_sources(lane.sources.iter().cloned()),
                    replayed: lane.replayed,
                    undo: self.undo_end(step.name.as_str(), lane),
                },
                LaneState::Failed { error } => StepEnd::Failed(error.clone()),
                _ => StepEnd::Skipped,
            }
        };
        steps.map(of).collect()
    }

    fn undo_end(&self, step: &str, lane: &Lane) -> Option<UndoEnd> {
        let failed = self.outcome().is_some_and(|outcome| !outcome.is_completed());
        let kept = || lane.replayed && self.definition.given_id(step).is_some_and(|given| given.shared);
        match lane.undo {
            UndoState::Done => Some(UndoEnd::Undone),
            UndoState::Impossible => Some(UndoEnd::Impossible),
            UndoState::GivenUp => Some(UndoEnd::Failed(lane.undo_error.clone())),
            UndoState::None | UndoState::InFlight | UndoState::Backoff { .. } => {
                (failed && kept()).then_some(UndoEnd::Kept)
            }
        }
    }
}
