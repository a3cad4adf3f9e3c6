//! Compensation: what took effect is undone, the last first.

use super::event::{RunEvent, RunOutcome, Task, Wait};
use super::failure::{FailureCause, StepError};
use super::snapshot::{Lane, LaneState, Phase, UndoState};
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
        let pending = |lane: &Lane| {
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
        // The same try, where nobody knows yet what became of it.
        let attempt = lane.undo_tries.saturating_add(u32::from(lane.undo_checks == 0));
        match lane.undo {
            UndoState::None => {}
            UndoState::Backoff { until } if until <= now => {}
            _ => return,
        }
        self.record(RunEvent::UndoBegan { task: task.clone(), attempt }, now, out);
        out.then(Effect::Undo(task));
    }

    /// When the undoing goes on by itself.
    pub(super) fn undo_wake(&self) -> Option<Timestamp> {
        match self.lane(self.next_to_undo()?)?.undo {
            UndoState::Backoff { until } => Some(until),
            _ => None,
        }
    }

    /// The action that undoes a task by its definition; `None` when that is left to its executor.
    pub(in crate::workflow) fn undo_action(&self, task: &Task) -> Option<Result<Action, StepError>> {
        let spot = self.spot(task)?;
        let (step, _) = self.step(spot.step)?;
        let Undo::Action { kind, with, max_cost, .. } = &step.undo else { return None };
        if let LaneState::Failed { error: error @ StepError::OutputOutOfBounds(_) } = &self.lane(spot)?.state
            && [Some(with), max_cost.as_ref()]
                .into_iter()
                .flatten()
                .any(|of| of.refers_to(step.name.as_str()))
        {
            // With nulls in its place something else might be undone.
            return Some(Err(error.clone()));
        }
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
    }

    /// Asks the runs to stop that tasks wait for, and that were not asked yet.
    pub(super) fn stop_children(&mut self, now: Timestamp, out: &mut Recorder) {
        let child = |(spot, lane): (Spot, &Lane)| match &lane.state {
            LaneState::Waiting { on: Wait::Run(run), until: Some(until) } if *until <= now => {
                Some((self.task(spot)?, run.clone()))
            }
            _ => None,
        };
        let children: Vec<_> = self.open_lanes().filter_map(child).collect();
        for (task, run) in children {
            if out.is_full() {
                return;
            }
            self.stop_child(task, run, now, out);
        }
    }

    /// Asks a run to stop; it says itself how it ended.
    pub(super) fn stop_child(&mut self, task: Task, run: RunId, now: Timestamp, out: &mut Recorder) {
        let on = Wait::Run(run.clone());
        self.record(RunEvent::Waiting { task, on, until: None }, now, out);
        out.then(Effect::Cancel(run));
    }

    /// Whether what was done is being undone.
    pub(in crate::workflow) const fn is_rolling_back(&self) -> bool {
        matches!(self.state.phase, Phase::RollingBack(_))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::super::event::RunStarted;
    use super::super::state::{Limits, Room};
    use super::*;
    use crate::id::LimitKey;
    use crate::workflow::definition::Limit;
    use crate::workflow::{Step, Workflow};

    struct NoLimits;

    impl Limits for NoLimits {
        fn acquire(&mut self, _: &LimitKey, _: &Limit, _: &str, _: Timestamp) -> Room {
            Room::Granted
        }
    }

    #[test]
    fn each_child_is_asked_to_stop_once_however_many_there_are() {
        const CHILDREN: usize = 500;
        let child = Step::workflow("s".parse().unwrap(), "child".parse().unwrap(), json!({}));
        let flow = Workflow::new("w".parse().unwrap()).with_step(child.with_each("${input}", None));
        let definition = flow.compile().unwrap();
        let mut started = RunStarted::attached("r".parse().unwrap(), "a".parse().unwrap(), &definition);
        started.input = (0..CHILDREN).collect();
        let now = Timestamp::from_millis(1);
        let mut run = Run::new(started, definition, now);
        let decide = |run: &mut Run| {
            let (mut effects, mut more) = (Vec::new(), true);
            while more {
                let mut out = Recorder::new(4);
                run.advance(now, &mut NoLimits, &mut out);
                assert!(out.events.len() <= 40, "{}", out.events.len());
                more = out.more;
                effects.append(&mut out.effects);
            }
            effects
        };
        let begun = decide(&mut run).into_iter().filter(|effect| matches!(effect, Effect::Start { .. }));
        assert_eq!(begun.count(), CHILDREN);
        run.apply(RunEvent::CancelRequested { by: "a".parse().unwrap(), reason: String::new() }, now);
        let mut asked = BTreeSet::new();
        for effect in decide(&mut run) {
            let Effect::Cancel(child) = effect else { panic!("{effect:?}") };
            assert!(asked.insert(child));
        }
        assert_eq!(asked.len(), CHILDREN);
        assert_eq!(run.wake(), None);
    }
}
