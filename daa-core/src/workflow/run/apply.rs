//! How each event changes the state. An event that makes no sense where it stands changes nothing: a log that
//! somebody else wrote to cannot make a reader fail.

use std::collections::BTreeSet;

use serde_json::Value;

use super::event::{ChildResult, RunEvent, RunOutcome, Task, Undone, Wait};
use super::failure::{FailureCause, StepError};
use super::scope::{AfterLane, RunScope};
use super::snapshot::{Admission, Lane, LaneState, Phase, StepPhase, UndoState};
use super::state::{Run, Spot};
use crate::amount::Money;
use crate::clock::Timestamp;
use crate::event::Version;
use crate::id::SourceId;
use crate::workflow::definition::{OnFailure, StepIndex, StepKind};

/// How many keys of signals are remembered, and how many signals wait to be taken.
pub(super) const MAX_SIGNALS: u32 = 10_000;

impl Run {
    /// Makes an event part of the state.
    pub(in crate::workflow) fn apply(&mut self, event: RunEvent, at: Timestamp) {
        self.version = self.version.next();
        match event {
            // A snapshot is the state that this one is already in.
            RunEvent::Snapshot(_) => self.snapshot = self.version,
            RunEvent::Started(_) | RunEvent::Parked { .. } | RunEvent::Archived { .. } => {}
            // The reader brings the definition, and calls `rebase`.
            RunEvent::Migrated { .. } => {}
            RunEvent::Claimed(claim) => self.state.claim = Some(claim),
            RunEvent::Admitted { key } => self.state.admission = Admission::Held(key),
            RunEvent::Queued { key, until } => self.state.admission = Admission::Queued { key, until },
            RunEvent::Opened { step, lanes } => self.opened(&step, lanes),
            RunEvent::Began { task, attempt, deadline, held } => {
                self.on_lane(&task, true, |lane| {
                    lane.tries = attempt;
                    lane.state = LaneState::InFlight;
                    deadline
                });
                self.state.holding.extend(held.map(|key| (task, key)));
            }
            RunEvent::Released { task } => drop(self.state.holding.remove(&task)),
            RunEvent::Waiting { task, on, until } => self.on_lane(&task, true, |lane| {
                if let Wait::Approval(request) = &on {
                    lane.requests = request.number;
                }
                // A signal is waited for until the deadline of its step.
                let deadline = until.filter(|_| matches!(on, Wait::Signal(_)));
                lane.state = LaneState::Waiting { on, until };
                deadline
            }),
            RunEvent::Succeeded { task, output, cost, replayed, sources } => {
                self.came_from(&task, sources);
                self.succeeded(&task, output, cost, replayed);
            }
            RunEvent::Failed { task, error, again, effect, output } => {
                self.failed(&task, error, again, effect.then_some(output));
            }
            RunEvent::Unknown { task, again, .. } => self.on_lane(&task, false, |lane| {
                lane.checks = lane.checks.saturating_add(1);
                lane.state = LaneState::Unknown { again };
                None
            }),
            RunEvent::Reconciled { .. } => {}
            RunEvent::Skipped { step } => {
                if let Some(index) = self.definition.index(step.as_str()) {
                    self.settle(index, StepPhase::Skipped, Value::Null);
                }
            }
            RunEvent::Repeated { task } => {
                let repeats = |run: &Self| {
                    let spot = run.spot(&task)?;
                    let (_, step) = run.step(spot.step)?;
                    (step.phase == StepPhase::Open && step.lanes.len() == spot.lane as usize).then_some(spot)
                };
                if let Some(spot) = repeats(self)
                    && let Some(step) = self.state.steps.get_mut(spot.step.get())
                {
                    step.lanes.push(Lane::NEW);
                }
            }
            RunEvent::Progressed { task, details } => self.on_lane(&task, false, |lane| {
                lane.progress = Some(details);
                None
            }),
            RunEvent::Signalled { signal, payload, key } => {
                self.state.signal_count = self.state.signal_count.saturating_add(1);
                if let Some(key) = key {
                    self.state.signal_keys_of.entry(signal.clone()).or_default().insert(key);
                }
                self.state.signals.entry(signal).or_default().push_back(payload);
            }
            RunEvent::Decided { task, approval } => self.on_lane(&task, false, |lane| {
                lane.approval = Some(approval);
                None
            }),
            RunEvent::AskedAgain { task } => self.on_lane(&task, false, |lane| {
                if matches!(lane.state, LaneState::Waiting { on: Wait::Approval(_), .. }) {
                    lane.state = LaneState::Due;
                }
                None
            }),
            RunEvent::ChildEnded { task, result, sources } => {
                self.came_from(&task, sources);
                match result {
                    ChildResult::Completed(output) => self.child_completed(&task, output),
                    ChildResult::Failed(error) => self.failed(&task, StepError::Child(error), None, None),
                    ChildResult::PartlyUndone { cause, left } => self.partly_undone(&task, &cause, &left),
                }
            }
            RunEvent::RollBackRequested { by, reason, .. } => {
                if let Phase::Ended(RunOutcome::Completed { .. }) = self.state.phase {
                    self.state.phase = Phase::RollingBack(FailureCause::Cancelled { by, reason });
                    self.state.reopened = true;
                    // Nobody performed it any more.
                    self.state.claim = None;
                }
            }
            RunEvent::ChildUndone { task, left } => self.on_undo(&task, |lane| {
                lane.undo = if left.is_empty() { UndoState::Done } else { UndoState::GivenUp };
            }),
            RunEvent::Updated { var, value } => {
                if let Value::Object(vars) = &mut self.state.vars {
                    vars.insert(var, value);
                }
            }
            RunEvent::Paused { .. } => self.state.paused = true,
            RunEvent::Resumed => self.state.paused = false,
            RunEvent::CancelRequested { by, reason } => {
                self.state.paused = false;
                let running = self.state.phase == Phase::Running;
                if running && self.state.cancel.is_none() {
                    self.state.cancel = Some(FailureCause::Cancelled { by, reason });
                }
            }
            RunEvent::RollingBack { cause } => self.roll_back(cause),
            RunEvent::UndoBegan { task, attempt } => self.on_undo(&task, |lane| {
                lane.undo_tries = attempt;
                lane.undo = UndoState::InFlight;
            }),
            RunEvent::Undone { task, result } => self.on_undo(&task, |lane| {
                lane.undo = match result {
                    Undone::Done => UndoState::Done,
                    Undone::Impossible => UndoState::Impossible,
                };
            }),
            RunEvent::UndoFailed { task, error, again } => self.on_undo(&task, |lane| {
                let unknown = matches!(error, StepError::Uncertain(_));
                lane.undo_checks = if unknown { lane.undo_checks.saturating_add(1) } else { 0 };
                lane.undo = again.map_or(UndoState::GivenUp, |until| UndoState::Backoff { until });
                lane.undo_error = Some(error);
            }),
            RunEvent::Ended(outcome) => self.end(outcome),
        }
        let _ = at;
    }

    /// The version of the stream up to which the state goes, for events that were read and not applied.
    pub(in crate::workflow) const fn skip_to(&mut self, version: Version) {
        self.version = version;
    }

    fn opened(&mut self, step: &crate::id::StepName, lanes: u32) {
        let Some(index) = self.definition.index(step.as_str()) else { return };
        let items = match self.definition.step(index).and_then(|step| step.each.as_ref()) {
            Some(each) => self.resolve(&each.of, None),
            None => return,
        };
        self.open(index);
        if let Some(step) = self.state.steps.get_mut(index.get()) {
            step.items = items;
            step.lanes = vec![Lane::NEW; lanes as usize];
        }
        if lanes == 0 {
            self.settle(index, StepPhase::Succeeded, Value::Array(Vec::new()));
        }
    }

    fn open(&mut self, index: StepIndex) {
        self.ready.remove(&index);
        if let Some(step) = self.state.steps.get_mut(index.get())
            && step.phase == StepPhase::Blocked
        {
            step.phase = StepPhase::Open;
            self.open.insert(index);
        }
    }

    /// Changes a lane that is not over. The first event about a step that is done once opens it; `change` answers
    /// the deadline of the step, where the event sets one.
    fn on_lane(&mut self, task: &Task, opens: bool, change: impl FnOnce(&mut Lane) -> Option<Timestamp>) {
        let Some(spot) = self.spot(task) else { return };
        if opens && self.ready.contains(&spot.step) && spot.lane == 0 {
            self.open(spot.step);
            if let Some(step) = self.state.steps.get_mut(spot.step.get()) {
                step.lanes.push(Lane::NEW);
            }
        }
        let Some(step) = self.state.steps.get_mut(spot.step.get()) else { return };
        let Some(lane) = step.lanes.get_mut(spot.lane as usize) else { return };
        if lane.state.is_over() {
            return;
        }
        let deadline = change(lane);
        step.deadline = step.deadline.or(deadline);
    }

    fn on_undo(&mut self, task: &Task, change: impl FnOnce(&mut Lane)) {
        if let Some(spot) = self.spot(task)
            && let Some(lane) = self.lane_mut(spot)
        {
            change(lane);
        }
    }

    /// What a task yields comes from these untrusted sources.
    fn came_from(&mut self, task: &Task, sources: BTreeSet<SourceId>) {
        if sources.is_empty() {
            return;
        }
        let lane = self.spot(task).and_then(|spot| self.lane_mut(spot));
        if let Some(lane) = lane.filter(|lane| !lane.state.is_over()) {
            lane.sources.extend(sources);
            self.tainted = true;
        }
    }

    fn succeeded(&mut self, task: &Task, output: Value, cost: Option<Money>, replayed: bool) {
        self.on_lane(task, true, |_| None);
        let Some(spot) = self.spot(task) else { return };
        let Some((step, _)) = self.step(spot.step) else { return };
        if let StepKind::Signal(signal) = &step.kind {
            let name = signal.name.clone();
            if let Some(queue) = self.state.signals.get_mut(&name) {
                queue.pop_front();
            }
        }
        let Some(lane) = self.lane_mut(spot) else { return };
        if lane.state.is_over() {
            return;
        }
        lane.state = LaneState::Done;
        lane.progress = None;
        lane.output = output;
        lane.cost = cost;
        lane.replayed = replayed;
        // What somebody else may have done is left alone.
        if !(replayed && self.is_shared(task)) {
            self.took_effect(spot);
        }
        self.settle_if_done(spot);
    }

    fn child_completed(&mut self, task: &Task, output: Value) {
        let gives = self.definition_of(task).map(|step| step.gives.check(task.step.as_str(), &output));
        match gives {
            Some(Err(mismatch)) => {
                self.failed(task, StepError::Mismatch(mismatch.to_string()), None, Some(output));
            }
            _ => self.succeeded(task, output, None, false),
        }
    }

    /// The other run has undone what it could: what it left is for a person to look at.
    fn partly_undone(&mut self, task: &Task, cause: &str, left: &[Task]) {
        let left: Vec<_> = left.iter().map(Task::text).collect();
        let error = StepError::Child(format!("{cause}; not undone: {}", left.join(", ")));
        let waits =
            self.spot(task).and_then(|spot| self.lane(spot)).is_some_and(|lane| !lane.state.is_over());
        if waits {
            self.failed(task, error, None, Some(Value::Null));
            self.on_undo(task, |lane| lane.undo = UndoState::GivenUp);
        }
    }

    /// `effect`: it took effect all the same, and yields this.
    fn failed(&mut self, task: &Task, error: StepError, again: Option<Timestamp>, effect: Option<Value>) {
        self.on_lane(task, true, |_| None);
        let Some(spot) = self.spot(task) else { return };
        let endless = matches!(error, StepError::Endless { .. });
        let Some(lane) = self.lane_mut(spot) else { return };
        if lane.state.is_over() && !endless {
            return;
        }
        match again {
            Some(until) => lane.state = LaneState::Backoff { until },
            None => {
                lane.state = LaneState::Failed { error };
                if let Some(output) = effect {
                    lane.output = output;
                    self.took_effect(spot);
                }
                self.settle_if_done(spot);
            }
        }
    }

    /// Remembers what has to be undone should the run fail.
    fn took_effect(&mut self, spot: Spot) {
        let Some((step, _)) = self.step(spot.step) else { return };
        if matches!(step.kind, StepKind::Action(_) | StepKind::Workflow(_)) {
            let name = step.name.clone();
            self.state.done.push((name, spot.lane));
        }
    }

    /// Settles the step of a lane that is over, if that was the last one.
    fn settle_if_done(&mut self, spot: Spot) {
        let Some((step, state)) = self.step(spot.step) else { return };
        if state.phase != StepPhase::Open || !state.lanes.iter().all(|lane| lane.state.is_over()) {
            return;
        }
        let failed = state.lanes.iter().any(|lane| matches!(lane.state, LaneState::Failed { .. }));
        if failed && step.on_failure == OnFailure::Fail {
            return;
        }
        if let Some(repeat) = &step.repeat
            && !failed
        {
            let last = u32::try_from(state.lanes.len().saturating_sub(1)).unwrap_or(u32::MAX);
            let spot = Spot { lane: last, ..spot };
            if !repeat.until.holds(&AfterLane(RunScope { run: self, spot: Some(spot) })) {
                return;
            }
        }
        let phase = if failed && step.each.is_none() { StepPhase::Failed } else { StepPhase::Succeeded };
        let (over_list, looped) = (step.each.is_some(), step.repeat.is_some());
        let Some(state) = self.state.steps.get_mut(spot.step.get()) else { return };
        let output = if over_list {
            let done = |lane: &Lane| lane.state == LaneState::Done;
            let output = |lane: &Lane| if done(lane) { lane.output.clone() } else { Value::Null };
            state.lanes.iter().map(output).collect()
        } else if failed {
            Value::Null
        } else {
            let last = state.lanes.last_mut();
            // The undo of a loop wants the output of each time.
            last.map(|lane| if looped { lane.output.clone() } else { std::mem::take(&mut lane.output) })
                .unwrap_or_default()
        };
        self.settle(spot.step, phase, output);
    }

    fn settle(&mut self, index: StepIndex, phase: StepPhase, output: Value) {
        self.ready.remove(&index);
        self.open.remove(&index);
        let Some(step) = self.state.steps.get_mut(index.get()) else { return };
        if step.phase.is_settled() {
            return;
        }
        step.phase = phase;
        step.output = output;
        self.unsettled = self.unsettled.saturating_sub(1);
        let definition = self.definition.clone();
        for next in definition.steps.get(index.get()).map(|step| step.then.as_slice()).unwrap_or_default() {
            let Some(count) = self.waits_for.get_mut(next.get()) else { continue };
            *count = count.saturating_sub(1);
            let blocked =
                self.state.steps.get(next.get()).is_some_and(|step| step.phase == StepPhase::Blocked);
            if *count == 0 && blocked {
                self.ready.insert(*next);
            }
        }
    }

    fn roll_back(&mut self, cause: FailureCause) {
        if self.state.phase != Phase::Running {
            return;
        }
        // A pause puts the end off that a run comes to by itself, and not the one that was set for it.
        self.state.paused &= !matches!(cause, FailureCause::Deadline { .. });
        self.state.phase = Phase::RollingBack(cause);
        self.ready.clear();
        for step in &mut self.state.steps {
            for lane in &mut step.lanes {
                let given_up = match &mut lane.state {
                    LaneState::Due | LaneState::Backoff { .. } => true,
                    // Another run goes on until it is told to stop, which is due now, and says so.
                    LaneState::Waiting { on: Wait::Run(_), until } => {
                        *until = Some(Timestamp::EPOCH);
                        false
                    }
                    LaneState::Waiting { .. } => true,
                    _ => false,
                };
                if given_up {
                    lane.state = LaneState::Dropped;
                }
            }
        }
    }

    fn end(&mut self, outcome: RunOutcome) {
        if !matches!(self.state.phase, Phase::Ended(_)) {
            self.state.phase = Phase::Ended(outcome);
            self.ready.clear();
            self.open.clear();
        }
    }
}
