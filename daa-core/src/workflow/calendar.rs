//! Recurring runs: which schedules there are, how far each was considered, and the starts that follow.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::WorkflowError;
use super::load;
use super::parts::Parts;
use super::run::{RunEvent, RunStarted};
use super::schedule::{Due, Overlap, Schedule, ScheduleState};
use crate::clock::Timestamp;
use crate::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, RecordedEvent,
    StreamWrite, Version,
};
use crate::id::{AgentId, EventKind, RunId, ScheduleId, StreamId, WorkflowName};

/// What stands before the id of a schedule in the name of its stream.
pub(super) const PREFIX: &str = "workflow-schedule/";
const KIND: &str = "workflow_schedule.changed.v1";
/// How often a change is tried again when another was faster.
const MAX_CONFLICTS: u32 = 32;

/// Runs that start by themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recurring {
    /// When.
    pub schedule: Schedule,
    /// Of which workflow: the version that is registered last when a run starts.
    pub workflow: WorkflowName,
    /// In whose name they act.
    pub actor: AgentId,
    /// What they are given.
    pub input: Value,
    /// Their priority.
    #[serde(default)]
    pub priority: i16,
}

impl Recurring {
    /// Runs of a workflow, by a schedule.
    #[must_use]
    pub fn new(schedule: Schedule, workflow: WorkflowName, actor: AgentId, input: impl Into<Value>) -> Self {
        Self { schedule, workflow, actor, input: input.into(), priority: 0 }
    }

    /// Sets their priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }
}

/// A schedule as it stands.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ScheduleView {
    /// What starts, and when.
    pub recurring: Recurring,
    /// How far it was considered.
    pub state: ScheduleState,
}

/// What happens to a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Set(Box<Recurring>),
    Considered(Due),
    Closed(Timestamp),
    Paused,
    Resumed,
    Removed,
}

/// Which runs are open, as far as the log was followed.
pub(super) trait OpenRuns {
    fn followed(&self) -> Position;

    fn is_open(&self, run: &RunId) -> bool;
}

/// The schedules of a store.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    entries: BTreeMap<ScheduleId, Entry>,
    /// The versions of the streams of those that were removed.
    removed: HashMap<ScheduleId, Version>,
}

#[derive(Clone, Debug)]
struct Entry {
    version: Version,
    /// Where its last change stands in the log; the runs that it started stand before it.
    position: Position,
    recurring: Recurring,
    state: ScheduleState,
    /// When it is to be looked at again; `None`: when something happens to it.
    next: Option<Timestamp>,
}

impl Entry {
    fn apply(&mut self, change: Change, at: Timestamp) {
        match change {
            Change::Set(recurring) => {
                if self.recurring.schedule.recurrence() != recurring.schedule.recurrence() {
                    self.state = ScheduleState::starting_at(at);
                }
                self.recurring = *recurring;
            }
            Change::Considered(due) => self.state.apply(&due),
            Change::Closed(occurrence) => self.state.closed(occurrence),
            Change::Paused => self.state.pause(),
            Change::Resumed => self.state.resume(at),
            Change::Removed => {}
        }
        let recurrence = self.recurring.schedule.recurrence();
        let waits = self.state.is_paused();
        self.next = if waits { None } else { recurrence.next_after(self.state.considered_to()) };
    }

    fn run(&self, occurrence: Timestamp) -> Option<RunId> {
        RunId::new(self.recurring.schedule.run_name(occurrence)).ok()
    }
}

impl Calendar {
    /// Follows an event of the log.
    pub(super) fn follow(&mut self, event: &RecordedEvent) -> Result<(), WorkflowError> {
        if event.kind.as_str() != KIND {
            return Ok(());
        }
        let Some(id) = event.stream.as_str().strip_prefix(PREFIX).and_then(|id| ScheduleId::new(id).ok())
        else {
            return Ok(());
        };
        self.take(&id, event.json()?, (event.version, event.position), event.at);
        Ok(())
    }

    fn take(
        &mut self,
        id: &ScheduleId,
        change: Change,
        (version, position): (Version, Position),
        at: Timestamp,
    ) {
        let known = self.entries.get(id).map(|entry| entry.version).or(self.removed.get(id).copied());
        if known.is_some_and(|known| version <= known) {
            return;
        }
        match (self.entries.get_mut(id), change) {
            (Some(_), Change::Removed) => {
                self.entries.remove(id);
                self.removed.insert(id.clone(), version);
            }
            (Some(entry), change) => {
                entry.version = version;
                entry.position = position;
                entry.apply(change, at);
            }
            (None, Change::Set(recurring)) => {
                let state = ScheduleState::starting_at(at);
                let next = recurring.schedule.recurrence().next_after(at);
                self.removed.remove(id);
                let entry = Entry { version, position, recurring: *recurring, state, next };
                self.entries.insert(id.clone(), entry);
            }
            (None, _) => {}
        }
    }

    /// When the next schedule is to be looked at.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.entries.values().filter_map(|entry| entry.next).min()
    }

    /// The schedules that are to be looked at, by the runs that are open.
    pub(super) fn due(&self, now: Timestamp, open: &impl OpenRuns) -> Vec<ScheduleId> {
        let due = |entry: &Entry| {
            let ended = entry.over(open).is_some() && entry.state.queued().is_some();
            !entry.state.is_paused() && (ended || entry.next.is_some_and(|next| next <= now))
        };
        self.entries.iter().filter(|(_, entry)| due(entry)).map(|(id, _)| id.clone()).collect()
    }

    /// Considers a schedule: what it decides, and the runs that follow, become durable in one append.
    pub(super) async fn consider(
        &mut self,
        parts: &Parts,
        id: &ScheduleId,
        open: &impl OpenRuns,
    ) -> Result<usize, WorkflowError> {
        let mut taken = Vec::new();
        for _ in 0..MAX_CONFLICTS {
            let Some(entry) = self.entries.get(id) else { return Ok(0) };
            let now = parts.clock.now();
            let mut after = entry.clone();
            let mut changes = Vec::new();
            if let Some(occurrence) = entry.over(open) {
                changes.push(Change::Closed(occurrence));
                after.state.closed(occurrence);
            }
            let due = after.state.due(&entry.recurring.schedule, now);
            let (fire, quiet) = (due.fire.clone(), due.is_quiet(&after.state));
            if quiet && changes.is_empty() {
                // Nothing to remember: considering it again comes to the same.
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.next = due.next;
                }
                return Ok(0);
            }
            changes.push(Change::Considered(due));
            let mut batch = Batch::new();
            for occurrence in &fire {
                match entry.start(parts, *occurrence)? {
                    Some((run, started)) if !taken.contains(&run) => {
                        let event = RunEvent::Started(Box::new(started)).to_new(now)?;
                        let write =
                            StreamWrite::new(load::stream(&run)?, ExpectedVersion::NO_STREAM, vec![event]);
                        batch = batch.with(write);
                    }
                    _ => {}
                }
            }
            // Behind the runs: who has followed the log to here knows of them.
            batch = batch.with(write(id, entry.version, &changes, now)?);
            let version = entry.version;
            match parts.store.append(batch).await {
                Ok(appended) => {
                    for (change, version) in changes.into_iter().zip(version.get() + 1..) {
                        self.take(id, change, (Version::new(version), appended.last), now);
                    }
                    parts.counters.runs_started.add(fire.len() as u64);
                    return Ok(fire.len());
                }
                Err(AppendError::Conflict { stream, .. }) => {
                    let run = fire.iter().filter_map(|at| entry.run(*at));
                    // A run of that name was started before; it counts as this one.
                    let mut run = run.filter(|run| load::stream(run).ok().as_ref() == Some(&stream));
                    match run.next() {
                        Some(run) => taken.push(run),
                        None => self.read(&*parts.store, id).await?,
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(WorkflowError::Contended { tries: MAX_CONFLICTS })
    }

    /// Looks at a schedule that could not be considered later.
    pub(super) fn postpone(&mut self, id: &ScheduleId, until: Timestamp) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.next = Some(until);
        }
    }

    async fn read(&mut self, store: &dyn EventStore, id: &ScheduleId) -> Result<(), WorkflowError> {
        let stream = stream(id)?;
        loop {
            let known = self.entries.get(id).map(|entry| entry.version).or(self.removed.get(id).copied());
            let page = store.read_stream(&stream, known.unwrap_or_default(), PageSize::default()).await?;
            if page.is_empty() {
                return Ok(());
            }
            for event in &page {
                self.follow(event)?;
            }
        }
    }

    /// The schedule as it stands in a store.
    pub(super) async fn view(
        store: &dyn EventStore,
        id: &ScheduleId,
    ) -> Result<Option<ScheduleView>, WorkflowError> {
        let mut calendar = Self::default();
        calendar.read(store, id).await?;
        let entry = calendar.entries.remove(id);
        Ok(entry.map(|entry| ScheduleView { recurring: entry.recurring, state: entry.state }))
    }

    /// Changes a schedule from outside. Answers whether there is one to change.
    async fn change(
        parts: &Parts,
        id: &ScheduleId,
        change: impl Fn(Option<&ScheduleState>) -> Option<Change>,
    ) -> Result<bool, WorkflowError> {
        for _ in 0..MAX_CONFLICTS {
            let mut calendar = Self::default();
            calendar.read(&*parts.store, id).await?;
            let entry = calendar.entries.get(id);
            let version = entry.map(|entry| entry.version).or(calendar.removed.get(id).copied());
            let Some(change) = change(entry.map(|entry| &entry.state)) else { return Ok(entry.is_some()) };
            let write = write(id, version.unwrap_or_default(), &[change], parts.clock.now())?;
            match parts.store.append(Batch::new().with(write)).await {
                Ok(_) => return Ok(true),
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(WorkflowError::Contended { tries: MAX_CONFLICTS })
    }

    /// Makes a schedule, or replaces it.
    pub(super) async fn set(parts: &Parts, recurring: Recurring) -> Result<(), WorkflowError> {
        let id = recurring.schedule.id().clone();
        Self::change(parts, &id, |_| Some(Change::Set(Box::new(recurring.clone())))).await?;
        Ok(())
    }

    /// Pauses or resumes a schedule.
    pub(super) async fn pause(parts: &Parts, id: &ScheduleId, paused: bool) -> Result<bool, WorkflowError> {
        let change = |state: Option<&ScheduleState>| {
            let differs = state?.is_paused() != paused;
            differs.then_some(if paused { Change::Paused } else { Change::Resumed })
        };
        Self::change(parts, id, change).await
    }

    /// Removes a schedule. Runs that were started go on.
    pub(super) async fn remove(parts: &Parts, id: &ScheduleId) -> Result<bool, WorkflowError> {
        Self::change(parts, id, |state| state.map(|_| Change::Removed)).await
    }
}

impl Entry {
    /// The occurrence whose run counts as open, and has ended.
    fn over(&self, open: &impl OpenRuns) -> Option<Timestamp> {
        // As long as the log was not followed to where the run was started, it is not known to be open.
        if self.recurring.schedule.overlap() == Overlap::Allow || open.followed() < self.position {
            return None;
        }
        let occurrence = self.state.open()?;
        let run = self.run(occurrence)?;
        (!open.is_open(&run)).then_some(occurrence)
    }

    /// The beginning of the run of an occurrence.
    fn start(
        &self,
        parts: &Parts,
        occurrence: Timestamp,
    ) -> Result<Option<(RunId, RunStarted)>, WorkflowError> {
        let Recurring { workflow, actor, input, priority, .. } = &self.recurring;
        let Some(run) = self.run(occurrence) else { return Ok(None) };
        let unknown = || WorkflowError::UnknownWorkflow { name: workflow.clone() };
        let definition = parts.library.latest(workflow).ok_or_else(unknown)?;
        let started = RunStarted {
            run: run.clone(),
            workflow: workflow.clone(),
            definition: definition.digest,
            actor: actor.clone(),
            input: input.clone(),
            priority: *priority,
            parent: None,
            trace: None,
            attached: false,
            sources: Default::default(),
        };
        Ok(Some((run, started)))
    }
}

fn stream(id: &ScheduleId) -> Result<StreamId, WorkflowError> {
    let name = StreamId::new(format!("{PREFIX}{id}"));
    name.map_err(|source| WorkflowError::Name { name: id.to_string(), source })
}

fn write(
    id: &ScheduleId,
    version: Version,
    changes: &[Change],
    now: Timestamp,
) -> Result<StreamWrite, WorkflowError> {
    let events: Result<Vec<_>, _> =
        changes.iter().map(|change| NewEvent::json(kind(), now, change)).collect();
    Ok(StreamWrite::new(stream(id)?, ExpectedVersion::Exact(version), events?))
}

const fn kind() -> EventKind {
    EventKind::constant(KIND)
}
