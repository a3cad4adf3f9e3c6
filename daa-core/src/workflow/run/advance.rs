//! What a run does next.

use serde::Deserialize;
use serde_json::Value;

use super::event::{Approval, RunEvent, RunOutcome, Task, Wait};
use super::failure::{FailureCause, StepError};
use super::scope::RunScope;
use super::snapshot::{Admission, Lane, LaneState, Phase};
use super::state::{Effect, Limits, Recorder, Room, Run, Spot};
use crate::action::{Action, ActionError};
use crate::amount::Money;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::failure_text::error_text;
use crate::id::{ActionId, ActionKind, AgentId, LimitKey, RunId, WorkflowName};
use crate::workflow::definition::{Limit, MAX_LANES, OnFailure, StepIndex, StepKind};

/// The largest output of a run, in bytes of JSON: it is part of an event.
const MAX_OUTPUT: usize = crate::event::BatchLimits::PAYLOAD / 2;

impl Run {
    /// Does everything that is due at `now`.
    pub(in crate::workflow) fn advance(
        &mut self,
        now: Timestamp,
        limits: &mut dyn Limits,
        out: &mut Recorder,
    ) {
        loop {
            let before = out.events.len();
            self.release(now, out);
            // Nothing goes on, and the run does not end, before all places are given back.
            if out.is_full() {
                return;
            }
            match &self.state.phase {
                Phase::Ended(_) => return,
                Phase::RollingBack(_) => {
                    self.stop_children(now, out);
                    if !self.state.paused {
                        self.recheck(now, out);
                        self.advance_undo(now, out);
                    }
                }
                Phase::Running => self.advance_steps(now, limits, out),
            }
            if out.events.len() == before {
                return;
            }
        }
    }

    fn advance_steps(&mut self, now: Timestamp, limits: &mut dyn Limits, out: &mut Recorder) {
        if let Some(cause) = self.state.cancel.clone() {
            return self.fail(cause, now, out);
        }
        let deadline = self.deadline();
        if let Some(deadline) = deadline.filter(|&deadline| deadline <= now) {
            return self.fail(FailureCause::Deadline { deadline }, now, out);
        }
        if let Some(cause) = self.failure() {
            return self.fail(cause, now, out);
        }
        if self.state.paused || !self.admitted(now, limits, out) {
            return;
        }
        for (spot, event) in self.due(now) {
            if out.is_full() {
                return;
            }
            self.go_on(spot, event, now, limits, out);
        }
        while let Some(&index) = self.ready.first() {
            if out.is_full() {
                return;
            }
            self.open_step(index, now, limits, out);
            if self.ready.contains(&index) {
                // It waits for room under a limit.
                return;
            }
        }
        if self.unsettled == 0 && self.state.holding.is_empty() {
            self.complete(now, out);
        }
    }

    /// When the run must have ended.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.definition.workflow.deadline.map(|span| self.state.at + span)
    }

    /// The failure of a step that fails the run.
    fn failure(&self) -> Option<FailureCause> {
        self.open_lanes().find_map(|(spot, lane)| {
            let LaneState::Failed { error } = &lane.state else { return None };
            let (step, _) = self.step(spot.step)?;
            let cause = FailureCause::Step { task: self.task(spot)?, error: error.clone() };
            (step.on_failure == OnFailure::Fail).then_some(cause)
        })
    }

    /// Gives back the places under limits of tasks that are over.
    fn release(&mut self, now: Timestamp, out: &mut Recorder) {
        let over = |(task, key): (&Task, &LimitKey)| {
            let lane = self.spot(task).and_then(|spot| self.lane(spot));
            lane.is_none_or(|lane| lane.state.is_over()).then(|| (task.clone(), key.clone()))
        };
        let over: Vec<_> = self.state.holding.iter().filter_map(over).collect();
        for (task, key) in over {
            if out.is_full() {
                return;
            }
            let holder = self.holder(&task);
            self.record(RunEvent::Released { task }, now, out);
            out.then(Effect::Release { key, holder });
        }
    }

    fn admitted(&mut self, now: Timestamp, limits: &mut dyn Limits, out: &mut Recorder) -> bool {
        let Some(limit) = &self.definition.workflow.limit else { return true };
        if matches!(self.state.admission, Admission::Held(_)) {
            return true;
        }
        let limit = limit.clone();
        match self.room(&limit, None, limits, now) {
            Ok((key, Room::Granted)) => {
                let holder = self.id().to_string();
                self.record(RunEvent::Admitted { key: key.clone() }, now, out);
                out.then(Effect::Acquire { key, holder });
                true
            }
            Ok((_, Room::Unread)) => false,
            Ok((key, Room::Full { until })) => {
                let queued = Admission::Queued { key: key.clone(), until };
                if self.state.admission != queued {
                    self.record(RunEvent::Queued { key, until }, now, out);
                }
                false
            }
            Err(error) => {
                self.fail(FailureCause::Output(error.to_string()), now, out);
                false
            }
        }
    }

    fn room(
        &self,
        limit: &Limit,
        task: Option<&Task>,
        limits: &mut dyn Limits,
        now: Timestamp,
    ) -> Result<(LimitKey, Room), StepError> {
        let spot = task.and_then(|task| self.spot(task));
        let text = self.resolve_text(&limit.key, spot)?;
        let key = LimitKey::new(text).map_err(|error| StepError::Mismatch(error.to_string()))?;
        let holder = task.map_or_else(|| self.id().to_string(), |task| self.holder(task));
        let room = limits.acquire(&key, limit, &holder, now);
        Ok((key, room))
    }

    /// The lanes for which something is to be done, and what.
    fn due(&self, now: Timestamp) -> Vec<(Spot, Due)> {
        let mut due = Vec::new();
        for &index in &self.open {
            let Some((step, state)) = self.step(index) else { continue };
            let at_once =
                step.each.as_ref().and_then(|each| each.at_once).map_or(u32::MAX, |limit| limit.get());
            let active = |lane: &&Lane| !lane.state.is_over() && lane.state != LaneState::Due;
            let mut room = at_once.saturating_sub(count(state.lanes.iter().filter(active).count()));
            for (number, lane) in (0..).zip(&state.lanes) {
                let what = match &lane.state {
                    LaneState::Due if room == 0 => None,
                    LaneState::Due => {
                        room -= 1;
                        Some(Due::Begin)
                    }
                    LaneState::Backoff { until } if *until <= now => Some(Due::Retry),
                    LaneState::Unknown { again } if *again <= now => Some(Due::Recheck),
                    LaneState::Waiting { on, until } => {
                        let over = until.is_some_and(|until| until <= now);
                        match on {
                            Wait::Timer => over.then_some(Due::Rung),
                            Wait::Signal(name) => {
                                let came =
                                    self.state.signals.get(name).is_some_and(|queue| !queue.is_empty());
                                if came { Some(Due::Signal) } else { over.then_some(Due::Late) }
                            }
                            Wait::Approval(request) => match &lane.approval {
                                Some(answer) if answer.number == request.number => Some(Due::Answered),
                                _ => over.then_some(Due::Late),
                            },
                            Wait::Limit(_) => Some(Due::Begin),
                            Wait::Run(_) => over.then_some(Due::Late),
                        }
                    }
                    LaneState::Done if step.repeat.is_some() && number as usize + 1 == state.lanes.len() => {
                        Some(Due::Again)
                    }
                    _ => None,
                };
                due.extend(what.map(|what| (Spot { step: index, lane: number }, what)));
            }
        }
        due
    }

    fn go_on(&mut self, spot: Spot, due: Due, now: Timestamp, limits: &mut dyn Limits, out: &mut Recorder) {
        let (Some(task), Some(lane)) = (self.task(spot), self.lane(spot)) else { return };
        match due {
            Due::Begin => self.begin(spot, now, limits, out),
            Due::Retry => match self.too_late(spot, now) {
                Some(error) => self.give_up(&task, error, now, out),
                None => self.perform(spot, now, None, out),
            },
            Due::Recheck => self.recheck_one(spot, now, out),
            Due::Rung => self.record(RunEvent::done(task, Value::Null), now, out),
            Due::Signal => {
                let LaneState::Waiting { on: Wait::Signal(name), .. } = &lane.state else { return };
                let Some(output) = self.state.signals.get(name).and_then(|queue| queue.front()) else {
                    return;
                };
                let event = RunEvent::done(task, output.clone());
                self.record(event, now, out);
            }
            Due::Late => {
                if let LaneState::Waiting { on: Wait::Run(run), .. } = &lane.state {
                    return self.stop_child(task, run.clone(), now, out);
                }
                let error = match (&lane.state, self.step(spot.step)) {
                    (LaneState::Waiting { on: Wait::Approval(_), .. }, _) => StepError::NotApproved,
                    (LaneState::Waiting { until: Some(deadline), .. }, _) => {
                        StepError::Deadline { deadline: *deadline }
                    }
                    _ => return,
                };
                self.give_up(&task, error, now, out);
            }
            Due::Answered => {
                let Some(answer) = lane.approval.clone() else { return };
                self.answered(spot, &task, &answer, now, out);
            }
            Due::Again => {
                let at_most = self.step(spot.step).and_then(|(step, _)| step.repeat.as_ref());
                let at_most = at_most.map_or(0, |repeat| repeat.at_most.get());
                let next = spot.lane.saturating_add(1);
                if next < at_most {
                    self.record(RunEvent::Repeated { task: Task::new(task.step, next) }, now, out);
                    self.begin(Spot { lane: next, ..spot }, now, limits, out);
                } else {
                    let error = StepError::Endless { times: next };
                    self.record(RunEvent::failed(task, error, None), now, out);
                }
            }
        }
    }

    fn answered(&mut self, spot: Spot, task: &Task, answer: &Approval, now: Timestamp, out: &mut Recorder) {
        if !answer.approved {
            let error = StepError::TurnedDown { by: answer.by.clone(), comment: answer.comment.clone() };
            return self.give_up(task, error, now, out);
        }
        match self.step(spot.step).map(|(step, _)| &step.kind) {
            Some(StepKind::Approval(_)) => {
                let output = serde_json::json!({
                    "by": answer.by.as_str(),
                    "at": answer.at.as_millis(),
                    "comment": answer.comment,
                });
                self.record(RunEvent::done(task.clone(), output), now, out);
            }
            Some(_) => match self.too_late(spot, now) {
                Some(error) => self.give_up(task, error, now, out),
                None => self.perform(spot, now, None, out),
            },
            None => {}
        }
    }

    /// Why nothing of a step is begun any more whose deadline has passed.
    fn too_late(&self, spot: Spot, now: Timestamp) -> Option<StepError> {
        let deadline = self.step(spot.step)?.1.deadline.filter(|&deadline| deadline <= now)?;
        Some(StepError::Deadline { deadline })
    }

    /// A task comes to nothing, without effect.
    fn give_up(&mut self, task: &Task, error: StepError, now: Timestamp, out: &mut Recorder) {
        self.record(RunEvent::failed(task.clone(), error, None), now, out);
    }

    /// Asks the executors again that could not say what became of a task.
    fn recheck(&mut self, now: Timestamp, out: &mut Recorder) {
        let unknown = self.open_lanes().filter(|(_, lane)| match lane.state {
            LaneState::Unknown { again } => again <= now,
            _ => false,
        });
        let spots: Vec<Spot> = unknown.map(|(spot, _)| spot).collect();
        for spot in spots {
            if out.is_full() {
                return;
            }
            self.recheck_one(spot, now, out);
        }
    }

    fn recheck_one(&mut self, spot: Spot, now: Timestamp, out: &mut Recorder) {
        let (Some(task), Some(lane)) = (self.task(spot), self.lane(spot)) else { return };
        // The same try: whether there will be another one is what is asked.
        let attempt = lane.tries;
        self.record(RunEvent::Began { task: task.clone(), attempt, deadline: None, held: None }, now, out);
        out.then(Effect::Perform(task));
    }

    /// Opens a step that waits for no other.
    fn open_step(&mut self, index: StepIndex, now: Timestamp, limits: &mut dyn Limits, out: &mut Recorder) {
        let Some((step, _)) = self.step(index) else { return };
        let name = step.name.clone();
        let skipped = step.when.as_ref().is_some_and(|when| !when.holds(&RunScope { run: self, spot: None }));
        if skipped {
            return self.record(RunEvent::Skipped { step: name }, now, out);
        }
        let Some(each) = &step.each else {
            return self.begin(Spot { step: index, lane: 0 }, now, limits, out);
        };
        let items = match self.resolve(&each.of, None) {
            Value::Array(items) => Ok(items.len()),
            _ => Err(StepError::NoList),
        };
        let lanes = items.and_then(|items| match u32::try_from(items) {
            Ok(lanes) if lanes <= MAX_LANES => Ok(lanes),
            _ => Err(StepError::TooManyItems { items: items as u64, limit: MAX_LANES }),
        });
        match lanes {
            Ok(lanes) => self.record(RunEvent::Opened { step: name, lanes }, now, out),
            Err(error) => self.give_up(&Task::new(name, 0), error, now, out),
        }
    }

    /// Begins a task for the first time, or again after it waited for room.
    fn begin(&mut self, spot: Spot, now: Timestamp, limits: &mut dyn Limits, out: &mut Recorder) {
        let (Some(task), Some((step, state))) = (self.task(spot), self.step(spot.step)) else { return };
        if let Some(error) = self.too_late(spot, now) {
            return self.give_up(&task, error, now, out);
        }
        let deadline = state.deadline.or(step.deadline.map(|span| now + span));
        let wait = |on, until| RunEvent::Waiting { task: task.clone(), on, until };
        let event = match &step.kind {
            StepKind::Action(_) | StepKind::Approval(_) | StepKind::Workflow(_) => {
                let limit = step.limit.clone();
                let held = match limit.map(|limit| self.room(&limit, Some(&task), limits, now)).transpose() {
                    Ok(None) => None,
                    Ok(Some((key, Room::Granted))) => Some(key),
                    Ok(Some((_, Room::Unread))) => return,
                    Ok(Some((key, Room::Full { until }))) => {
                        let waiting = LaneState::Waiting { on: Wait::Limit(key.clone()), until };
                        if self.lane(spot).is_none_or(|lane| lane.state != waiting) {
                            let event = wait(Wait::Limit(key), until);
                            self.record(event, now, out);
                        }
                        return;
                    }
                    Err(error) => return self.give_up(&task, error, now, out),
                };
                return self.perform(spot, now, held, out);
            }
            StepKind::Sleep(span) => wait(Wait::Timer, Some(now + *span)),
            StepKind::Until(moment) => match self.resolve(moment, Some(spot)).as_u64() {
                Some(millis) => wait(Wait::Timer, Some(Timestamp::from_millis(millis))),
                None => {
                    let error = "a moment is expected, in milliseconds since 1970".to_owned();
                    return self.give_up(&task, StepError::Mismatch(error), now, out);
                }
            },
            StepKind::Signal(signal) => wait(Wait::Signal(signal.name.clone()), deadline),
        };
        self.record(event, now, out);
    }

    /// Hands a task to its executor.
    fn perform(&mut self, spot: Spot, now: Timestamp, held: Option<LimitKey>, out: &mut Recorder) {
        let (Some(task), Some((step, state))) = (self.task(spot), self.step(spot.step)) else { return };
        let child = match &step.kind {
            StepKind::Workflow(_) => match task.child_id(self.id()) {
                Ok(run) => Some(run),
                Err(error) => {
                    return self.give_up(&task, StepError::OutOfBounds(error.to_string()), now, out);
                }
            },
            _ => None,
        };
        let deadline = match state.deadline {
            Some(_) => None,
            None => step.deadline.map(|span| now + span),
        };
        let attempt = self.lane(spot).map_or(0, |lane| lane.tries).saturating_add(1);
        if let Some(key) = &held {
            out.then(Effect::Acquire { key: key.clone(), holder: self.holder(&task) });
        }
        let began = RunEvent::Began { task: task.clone(), attempt, deadline, held };
        self.record(began, now, out);
        let deadline = self.step(spot.step).and_then(|(_, state)| state.deadline);
        match child {
            Some(run) => {
                let (on, until) = (Wait::Run(run.clone()), deadline);
                self.record(RunEvent::Waiting { task: task.clone(), on, until }, now, out);
                out.then(Effect::Start { task, run });
            }
            None => out.then(Effect::Perform(task)),
        }
    }

    fn complete(&mut self, now: Timestamp, out: &mut Recorder) {
        let workflow = &self.definition.workflow;
        let output = self.resolve(&workflow.output, None);
        let actual = serde_json::to_vec(&output).map_or(usize::MAX, |json| json.len());
        if actual > MAX_OUTPUT {
            let error = format!("it has {actual} bytes, at most {MAX_OUTPUT} are allowed");
            return self.fail(FailureCause::Output(error), now, out);
        }
        match workflow.gives.check("output", &output) {
            Ok(()) => self.record_end(RunOutcome::Completed { output }, now, out),
            Err(mismatch) => self.fail(FailureCause::Output(mismatch.to_string()), now, out),
        }
    }

    pub(super) fn record_end(&mut self, outcome: RunOutcome, now: Timestamp, out: &mut Recorder) {
        if let Admission::Held(key) = self.state.admission.clone() {
            let holder = self.id().to_string();
            out.then(Effect::Release { key, holder });
        }
        self.record(RunEvent::Ended(outcome), now, out);
    }

    /// The tasks that wait for another run, and which.
    pub(in crate::workflow) fn waiting_for_runs(&self) -> Vec<(Task, RunId)> {
        let waiting = |(spot, lane): (Spot, &Lane)| match &lane.state {
            LaneState::Waiting { on: Wait::Run(run), .. } => Some((self.task(spot)?, run.clone())),
            _ => None,
        };
        self.open_lanes().filter_map(waiting).collect()
    }

    /// The workflow that a task runs, and its input.
    pub(in crate::workflow) fn child_of(&self, task: &Task) -> Option<(WorkflowName, Value)> {
        let spot = self.spot(task)?;
        let (step, _) = self.step(spot.step)?;
        let StepKind::Workflow(child) = &step.kind else { return None };
        Some((child.name.clone(), self.resolve(&child.with, Some(spot))))
    }

    /// Whether a task was never with its executor before.
    pub(in crate::workflow) fn is_first_try(&self, task: &Task) -> bool {
        let lane = self.spot(task).and_then(|spot| self.lane(spot));
        lane.is_some_and(|lane| lane.tries <= 1 && lane.checks == 0 && lane.requests == 0)
    }

    /// When the run goes on by itself; `None`: when something else happens to it.
    pub(in crate::workflow) fn wake(&self) -> Option<Timestamp> {
        if self.state.paused {
            return (self.state.phase == Phase::Running).then(|| self.deadline()).flatten();
        }
        let lanes = self.open_lanes().filter_map(|(_, lane)| match &lane.state {
            LaneState::Backoff { until } => Some(*until),
            LaneState::Unknown { again } => Some(*again),
            LaneState::Waiting { until, .. } => *until,
            _ => None,
        });
        let queued = match &self.state.admission {
            Admission::Queued { until, .. } => *until,
            Admission::Open | Admission::Held(_) => None,
        };
        let own = match &self.state.phase {
            Phase::Running => self.deadline(),
            Phase::RollingBack(_) => self.undo_wake(),
            Phase::Ended(_) => return None,
        };
        lanes.chain(queued).chain(own).min()
    }

    /// The limits whose next free place the run waits for.
    pub(in crate::workflow) fn limits_waited_for(&self) -> Vec<LimitKey> {
        let lanes = self.open_lanes().filter_map(|(_, lane)| match &lane.state {
            LaneState::Waiting { on: Wait::Limit(key), .. } => Some(key.clone()),
            _ => None,
        });
        let queued = match &self.state.admission {
            Admission::Queued { key, .. } => Some(key.clone()),
            Admission::Open | Admission::Held(_) => None,
        };
        lanes.chain(queued).collect()
    }

    /// The action that does a task.
    pub(in crate::workflow) fn action(&self, task: &Task) -> Option<Result<Action, StepError>> {
        let spot = self.spot(task)?;
        let (step, _) = self.step(spot.step)?;
        let StepKind::Action(action) = &step.kind else { return None };
        let params = self.resolve(&action.with, Some(spot));
        if let Err(mismatch) = action.takes.check("with", &params) {
            return Some(Err(StepError::Mismatch(mismatch.to_string())));
        }
        let cost = action.max_cost.as_ref().map(|cost| self.resolve(cost, Some(spot)));
        let actor = self.state.started.actor.clone();
        // In a plan, null is a value like any other.
        let params = if self.definition.given.is_some() { params } else { or_empty(params) };
        Some(action_of(self.action_id(task), action.kind.clone(), actor, params, cost))
    }

    /// What is to be approved, and its digest: of run, task and value, so that an approval fits nothing else.
    pub(in crate::workflow) fn subject(&self, task: &Task) -> Option<(Value, Digest)> {
        let spot = self.spot(task)?;
        let (step, _) = self.step(spot.step)?;
        let StepKind::Approval(approval) = &step.kind else { return None };
        let value = self.resolve(&approval.of, Some(spot));
        let mut digest = Digest::builder("daa workflow approval v1")
            .field(self.id().as_str().as_bytes())
            .field(task.to_string().as_bytes());
        crate::action::request::hash_value(&mut digest, &value);
        Some((value, digest.finish()))
    }

    /// The approval that a task may use.
    pub(in crate::workflow) fn approval(&self, task: &Task) -> Option<&Approval> {
        self.lane(self.spot(task)?)?.approval.as_ref().filter(|approval| approval.approved)
    }

    /// What the executor of a task reported last.
    pub(in crate::workflow) fn progress(&self, task: &Task) -> Option<&Value> {
        self.lane(self.spot(task)?)?.progress.as_ref()
    }
}

/// What is to be done for a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Begin,
    Retry,
    Recheck,
    Rung,
    Signal,
    Late,
    Answered,
    Again,
}

fn count(lanes: usize) -> u32 {
    u32::try_from(lanes).unwrap_or(u32::MAX)
}

/// What is not said is an empty object.
pub(super) fn or_empty(params: Value) -> Value {
    if params.is_null() { Value::Object(Default::default()) } else { params }
}

pub(super) fn action_of(
    id: Result<ActionId, ActionError>,
    kind: ActionKind,
    actor: AgentId,
    params: Value,
    cost: Option<Value>,
) -> Result<Action, StepError> {
    let out_of_bounds = |error: ActionError| StepError::OutOfBounds(error_text(&error));
    let action = id.and_then(|id| Action::new(id, kind, actor)).map_err(out_of_bounds)?;
    let action = action.with_params(params).map_err(out_of_bounds)?;
    match cost {
        None | Some(Value::Null) => Ok(action),
        Some(cost) => {
            let cost = Money::deserialize(&cost).map_err(|error| StepError::Mismatch(error_text(&error)))?;
            Ok(action.with_max_cost(cost))
        }
    }
}
