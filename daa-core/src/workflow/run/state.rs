//! The state of a run, and what it is given to decide with.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{Claim, RunEvent, RunOutcome, RunStarted, Task};
use super::snapshot::{Admission, Lane, LaneState, Phase, Snapshot, StepPhase, StepState};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::event::{DecodeError, NewEvent, Version};
use crate::id::{LimitKey, RunId};
use crate::workflow::definition::{Compiled, Limit, Step, StepIndex};

/// How many events there are at least between two snapshots.
const SNAPSHOT_AFTER: u64 = 128;
/// And how many for each part of the state. Fewer than the three that a loop has each time, which adds a part too: it
/// would never get there.
const EVENTS_A_LANE: u64 = 2;

/// How many events a decision has for each task that may begin, and how many bytes; then the rest is left to the next.
const EVENTS_A_TASK: usize = 8;
const BYTES_A_TASK: usize = 16 << 10;

/// A place in the state: a step and one of its lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::workflow) struct Spot {
    pub(super) step: StepIndex,
    pub(super) lane: u32,
}

/// A run: the sum of its events.
#[derive(Clone, Debug)]
pub(in crate::workflow) struct Run {
    pub(super) state: Snapshot,
    pub(super) definition: Arc<Compiled>,
    /// The version of its stream, the events included that are not durable yet.
    pub(super) version: Version,
    /// The version of the last snapshot in its stream.
    pub(super) snapshot: Version,
    /// Whether the state was too large to be written down.
    pub(super) too_large: bool,
    /// For each step, how many it still waits for.
    pub(super) waits_for: Vec<u16>,
    /// Steps that wait for nothing and are not open yet.
    pub(super) ready: BTreeSet<StepIndex>,
    pub(super) open: BTreeSet<StepIndex>,
    pub(super) unsettled: usize,
    /// Whether anything that happened in it comes from an untrusted source.
    pub(super) tainted: bool,
}

/// Something to be done once the events are durable.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::workflow) enum Effect {
    /// Hand a task to its executor, or find out what became of it.
    Perform(Task),
    /// Undo a task, or find out what became of that.
    Undo(Task),
    /// Start the run that a task waits for; with the events, in one append.
    Start { task: Task, run: RunId },
    /// Ask a run to stop.
    Cancel(RunId),
    /// Take a place under a limit; with the events, in one append.
    Acquire { key: LimitKey, holder: String },
    /// Give it back; with the events, in one append.
    Release { key: LimitKey, holder: String },
}

/// Collects what a run decides: the events, already encoded, and what follows from them.
#[derive(Debug, Default)]
pub(in crate::workflow) struct Recorder {
    pub(in crate::workflow) events: Vec<NewEvent>,
    pub(in crate::workflow) effects: Vec<Effect>,
    /// Why an event could not be encoded.
    pub(in crate::workflow) failed: Option<DecodeError>,
    /// How many tasks may begin: an append has bounds.
    pub(in crate::workflow) at_most: usize,
    /// Whether more could be decided.
    pub(in crate::workflow) more: bool,
    /// How many tasks begin.
    begun: usize,
    /// How many bytes the events have.
    bytes: usize,
}

impl Recorder {
    /// Nothing yet; at most so many tasks may begin.
    pub(in crate::workflow) fn new(at_most: usize) -> Self {
        Self { at_most, ..Self::default() }
    }

    /// Whether the rest is left to the next decision, because the append has bounds.
    pub(in crate::workflow) fn is_full(&mut self) -> bool {
        self.more |= self.events.len() >= self.at_most.saturating_mul(EVENTS_A_TASK)
            || self.bytes >= self.at_most.saturating_mul(BYTES_A_TASK)
            || self.begun >= self.at_most;
        self.more
    }

    /// Something that follows.
    pub(super) fn then(&mut self, effect: Effect) {
        self.begun += usize::from(matches!(effect, Effect::Perform(_) | Effect::Start { .. }));
        self.effects.push(effect);
    }
}

/// Whether there is room under a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workflow) enum Room {
    Granted,
    /// None now; there may be at this moment, or when somebody gives a place back.
    Full {
        until: Option<Timestamp>,
    },
    /// It is not known yet: it is found out, and the run decides again.
    Unread,
}

/// Who knows how many hold a place under each limit.
pub(in crate::workflow) trait Limits: Send {
    /// Takes a place, if there is one.
    fn acquire(&mut self, key: &LimitKey, limit: &Limit, holder: &str, now: Timestamp) -> Room;
}

impl Run {
    /// A run that has just begun.
    pub(in crate::workflow) fn new(started: RunStarted, definition: Arc<Compiled>, at: Timestamp) -> Self {
        let workflow = &definition.workflow;
        let vars = workflow.vars.iter().map(|(name, var)| (name.clone(), var.value.clone())).collect();
        let state = Snapshot {
            definition: definition.digest,
            at,
            claim: None,
            phase: Phase::Running,
            reopened: false,
            paused: false,
            cancel: None,
            admission: Admission::Open,
            holding: Default::default(),
            vars,
            signals: Default::default(),
            signal_keys_of: Default::default(),
            signal_keys: Default::default(),
            signal_count: 0,
            steps: vec![StepState::default(); workflow.steps.len()],
            done: Vec::new(),
            started,
        };
        Self::of(state, definition, Version::new(1))
    }

    /// A run from a snapshot in its stream; `definition` is the one that the snapshot names.
    pub(in crate::workflow) fn restore(state: Snapshot, definition: Arc<Compiled>, version: Version) -> Self {
        let mut run = Self::of(state, definition, version);
        run.snapshot = version;
        run
    }

    fn of(mut state: Snapshot, definition: Arc<Compiled>, version: Version) -> Self {
        state.steps.resize(definition.steps.len(), StepState::default());
        let mut run = Self {
            waits_for: definition.steps.iter().map(|step| step.waits_for).collect(),
            ready: BTreeSet::new(),
            open: BTreeSet::new(),
            unsettled: 0,
            tainted: state.steps.iter().flat_map(|step| &step.lanes).any(|lane| !lane.sources.is_empty()),
            snapshot: Version::EMPTY,
            too_large: false,
            state,
            definition,
            version,
        };
        run.relink();
        run
    }

    /// Works out what waits for what.
    fn relink(&mut self) {
        self.unsettled = 0;
        for (at, step) in self.state.steps.iter().enumerate() {
            let index = StepIndex(u16::try_from(at).unwrap_or(u16::MAX));
            if step.phase.is_settled() {
                let then = self.definition.steps.get(at).map(|step| step.then.as_slice()).unwrap_or_default();
                for next in then {
                    if let Some(count) = self.waits_for.get_mut(next.get()) {
                        *count = count.saturating_sub(1);
                    }
                }
            } else {
                self.unsettled += 1;
                if step.phase == StepPhase::Open {
                    self.open.insert(index);
                }
            }
        }
        for (at, count) in self.waits_for.iter().enumerate() {
            let blocked = self.state.steps.get(at).is_some_and(|step| step.phase == StepPhase::Blocked);
            if *count == 0 && blocked {
                self.ready.insert(StepIndex(u16::try_from(at).unwrap_or(u16::MAX)));
            }
        }
    }

    /// The same run under another definition, which must be compatible.
    pub(in crate::workflow) fn rebase(&mut self, definition: Arc<Compiled>) {
        let mut steps = vec![StepState::default(); definition.steps.len()];
        for (step, state) in self.definition.workflow.steps.iter().zip(std::mem::take(&mut self.state.steps))
        {
            if let Some(index) = definition.index(step.name.as_str())
                && let Some(slot) = steps.get_mut(index.get())
            {
                *slot = state;
            }
        }
        let mut state = self.state.clone();
        state.steps = steps;
        state.definition = definition.digest;
        if let serde_json::Value::Object(vars) = &mut state.vars {
            for (name, var) in &definition.workflow.vars {
                vars.entry(name.clone()).or_insert_with(|| var.value.clone());
            }
        }
        let (version, snapshot) = (self.version, self.snapshot);
        *self = Self::of(state, definition, version);
        self.snapshot = snapshot;
    }

    pub(in crate::workflow) const fn id(&self) -> &RunId {
        &self.state.started.run
    }

    pub(in crate::workflow) const fn started(&self) -> &RunStarted {
        &self.state.started
    }

    pub(in crate::workflow) const fn pinned_to(&self) -> Digest {
        self.state.definition
    }

    pub(in crate::workflow) const fn version(&self) -> Version {
        self.version
    }

    pub(in crate::workflow) const fn snapshot_version(&self) -> Version {
        self.snapshot
    }

    pub(in crate::workflow) const fn claim(&self) -> Option<&Claim> {
        self.state.claim.as_ref()
    }

    pub(in crate::workflow) const fn outcome(&self) -> Option<&RunOutcome> {
        match &self.state.phase {
            Phase::Ended(outcome) => Some(outcome),
            Phase::Running | Phase::RollingBack(_) => None,
        }
    }

    /// Makes an event part of the state, and of what is to become durable.
    pub(in crate::workflow) fn record(&mut self, event: RunEvent, now: Timestamp, out: &mut Recorder) {
        match event.to_new(now) {
            Ok(new) => {
                out.bytes += new.payload.len();
                out.events.push(new);
            }
            Err(error) => out.failed = Some(error),
        }
        self.apply(event, now);
    }

    /// Writes the state down, once enough has happened since it was last written: twice as much as the state has
    /// parts, so that all snapshots together stay in proportion to the events.
    pub(in crate::workflow) fn snapshot_if_due(&mut self, now: Timestamp, out: &mut Recorder) {
        let lanes: usize = self.state.steps.iter().map(|step| step.lanes.len() + 1).sum();
        let since = self.version.get().saturating_sub(self.snapshot.get());
        if self.too_large
            || since < SNAPSHOT_AFTER.max(EVENTS_A_LANE * lanes as u64)
            || self.outcome().is_some()
        {
            return;
        }
        let snapshot = RunEvent::Snapshot(Box::new(self.state.clone()));
        match snapshot.to_new(now) {
            Ok(new) if new.payload.len() <= crate::event::BatchLimits::PAYLOAD => {
                out.events.push(new);
                self.version = self.version.next();
                self.snapshot = self.version;
            }
            // A state too large for one event is read from its events.
            _ => self.too_large = true,
        }
    }

    pub(super) fn step(&self, index: StepIndex) -> Option<(&Step, &StepState)> {
        Some((self.definition.step(index)?, self.state.steps.get(index.get())?))
    }

    pub(super) fn spot(&self, task: &Task) -> Option<Spot> {
        Some(Spot { step: self.definition.index(task.step.as_str())?, lane: task.lane })
    }

    pub(super) fn task(&self, spot: Spot) -> Option<Task> {
        Some(Task::new(self.definition.step(spot.step)?.name.clone(), spot.lane))
    }

    pub(super) fn lane(&self, spot: Spot) -> Option<&Lane> {
        self.state.steps.get(spot.step.get())?.lanes.get(spot.lane as usize)
    }

    pub(super) fn lane_mut(&mut self, spot: Spot) -> Option<&mut Lane> {
        self.state.steps.get_mut(spot.step.get())?.lanes.get_mut(spot.lane as usize)
    }

    /// The lanes of the steps that are open.
    pub(super) fn open_lanes(&self) -> impl Iterator<Item = (Spot, &Lane)> {
        self.open.iter().flat_map(|&step| {
            let lanes =
                self.state.steps.get(step.get()).map(|step| step.lanes.as_slice()).unwrap_or_default();
            (0..).zip(lanes).map(move |(lane, state)| (Spot { step, lane }, state))
        })
    }

    /// What is with an executor: to be performed, or found out about, by whoever takes the run.
    pub(in crate::workflow) fn under_way(&self) -> Vec<Effect> {
        if self.outcome().is_some() {
            return Vec::new();
        }
        let in_flight = self.open_lanes().filter(|(_, lane)| lane.state == LaneState::InFlight);
        let mut effects: Vec<Effect> =
            in_flight.filter_map(|(spot, _)| self.task(spot)).map(Effect::Perform).collect();
        if let Some(task) = self.undo_in_flight() {
            effects.push(Effect::Undo(task));
        }
        effects
    }
}
