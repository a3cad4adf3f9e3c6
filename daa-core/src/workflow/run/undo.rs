//! Compensation: what took effect is undone, the last first.

use super::event::{RunEvent, RunOutcome, Task};
use super::failure::FailureCause;
use super::snapshot::{LaneState, Phase, UndoState};
use super::state::{Effect, Recorder, Run, Spot};
use crate::action::Action;
use crate::clock::Timestamp;
use crate::id::RunId;
use crate::workflow::definition::{StepKind, Undo};

impl Run {
    /// The task that is being undone; one at a time, or the order would mean nothing.
    pub(super) fn undo_in_flight(&self) -> Option<Task> {
        if !matches!(self.state.phase, Phase::RollingBack(_)) {
            return None;
        }
        let spot = self.next_to_undo()?;
        (self.lane(spot)?.undo == UndoState::InFlight).then(|| self.task(spot)).flatten()
    }

    /// The last task that took effect and whose undoing is not over.
    pub(super) fn next_to_undo(&self) -> Option<Spot> {
        self.state.done.iter().rev().find_map(|(step, lane)| {
            let spot = Spot { step: self.definition.index(step.as_str())?, lane: *lane };
            let (step, _) = self.step(spot.step)?;
            if step.undo == Undo::Nothing {
                return None;
            }
            let over =
                matches!(self.lane(spot)?.undo, UndoState::Done | UndoState::Impossible | UndoState::GivenUp);
            (!over).then_some(spot)
        })
    }

    /// What took effect and is not undone.
    fn left(&self) -> Vec<Task> {
        let spots = self.state.done.iter().filter_map(|(step, lane)| {
            let spot = Spot { step: self.definition.index(step.as_str())?, lane: *lane };
            let (step, _) = self.step(spot.step)?;
            let undone = step.undo == Undo::Nothing || self.lane(spot)?.undo == UndoState::Done;
            (!undone).then(|| self.task(spot)).flatten()
        });
        spots.collect()
    }

    /// Goes on undoing; ends the run when nothing is left.
    pub(super) fn advance_undo(&mut self, now: Timestamp, out: &mut Recorder) {
        // What may yet take effect has to be undone too, and before what was done earlier.
        let pending = |lane: &super::snapshot::Lane| {
            matches!(lane.state, LaneState::InFlight | LaneState::Unknown { .. } | LaneState::Waiting { .. })
        };
        if self.open_lanes().any(|(_, lane)| pending(lane)) {
            return;
        }
        let Some(spot) = self.next_to_undo() else {
            let Phase::RollingBack(cause) = &self.state.phase else { return };
            let outcome = RunOutcome::RolledBack { cause: cause.clone(), left: self.left() };
            return self.record_end(outcome, now, out);
        };
        let (Some(task), Some(lane)) = (self.task(spot), self.lane(spot)) else { return };
        let attempt = lane.undo_tries.saturating_add(1);
        match lane.undo {
            UndoState::None => {}
            UndoState::Backoff { until } if until <= now => {}
            _ => return,
        }
        self.record(RunEvent::UndoBegan { task: task.clone(), attempt }, now, out);
        out.effects.push(Effect::Undo(task));
    }

    /// When the undoing goes on by itself.
    pub(super) fn undo_wake(&self) -> Option<Timestamp> {
        match self.lane(self.next_to_undo()?)?.undo {
            UndoState::Backoff { until } => Some(until),
            _ => None,
        }
    }

    /// The action that undoes a task by its definition; `None` when that is left to its executor.
    pub(in crate::workflow) fn undo_action(&self, task: &Task) -> Option<Result<Action, super::StepError>> {
        let spot = self.spot(task)?;
        let (step, _) = self.step(spot.step)?;
        let Undo::Action { kind, with, max_cost, .. } = &step.undo else { return None };
        let id = self.undo_id(task);
        let actor = self.state.started.actor.clone();
        let params = super::advance::or_empty(self.resolve(with, Some(spot)));
        let cost = max_cost.as_ref().map(|cost| self.resolve(cost, Some(spot)));
        Some(super::advance::action_of(id, kind.clone(), actor, params, cost))
    }

    /// The run that did a task, where it is that run's to undo it.
    pub(in crate::workflow) fn child_to_undo(&self, task: &Task) -> Option<RunId> {
        let step = self.definition_of(task)?;
        let own = matches!(step.kind, StepKind::Workflow(_)) && step.undo == Undo::Unsaid;
        own.then(|| task.child_id(self.id()).ok()).flatten()
    }

    /// What a run that had completed could not undo, once it has tried.
    pub(in crate::workflow) fn undone_after_all(&self) -> Option<&[Task]> {
        match &self.state.phase {
            Phase::Ended(RunOutcome::RolledBack { left, .. }) if self.state.reopened => Some(left),
            _ => None,
        }
    }

    /// Begins to undo.
    pub(super) fn fail(&mut self, cause: FailureCause, now: Timestamp, out: &mut Recorder) {
        self.record(RunEvent::RollingBack { cause }, now, out);
        out.effects.extend(self.children().into_iter().map(Effect::Cancel));
    }

    /// Whether what was done is being undone.
    pub(in crate::workflow) const fn is_rolling_back(&self) -> bool {
        matches!(self.state.phase, Phase::RollingBack(_))
    }
}
