//! All runs of a store, as far as its log was followed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{RunCursor, RunPage, RunQuery, RunStatus, RunSummary, WaitKind, Waiting};
use crate::clock::Timestamp;
use crate::event::{DecodeError, EventStore, PageSize, Position, RecordedEvent};
use crate::id::LimitKey;
use crate::workflow::error::WorkflowError;
use crate::workflow::run::{FailureCause, RunEvent, RunOutcome, RunStarted, STREAM_PREFIX, Task, Wait};

/// All runs of a store, as far as its log was followed; those that were archived are not among them.
#[derive(Debug, Default)]
pub(in crate::workflow) struct Roster {
    read: Position,
    runs: BTreeMap<RunCursor, Known>,
    /// Where each stands in the list.
    places: BTreeMap<String, RunCursor>,
}

/// What is known of a run.
#[derive(Debug)]
struct Known {
    summary: RunSummary,
    paused: bool,
    rolling_back: bool,
    outcome: Option<RunStatus>,
    /// What is with an executor, or will be again.
    under_way: BTreeSet<Task>,
    waits: BTreeMap<Task, (Wait, Option<Timestamp>)>,
    queued: Option<(LimitKey, Option<Timestamp>)>,
}

impl Roster {
    /// Follows the log to its head.
    pub(in crate::workflow) async fn catch_up(
        &mut self,
        store: &dyn EventStore,
    ) -> Result<(), WorkflowError> {
        loop {
            let page = store.read_all(self.read, PageSize::new(PageSize::MAX)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            for event in &page {
                if let Err(error) = self.follow(event) {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(position = %event.position, error, "passed over an event");
                }
            }
            self.read = last.position;
        }
    }

    /// A page of the list.
    pub(in crate::workflow) fn page(&self, query: &RunQuery) -> RunPage {
        let end = query.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut runs = Vec::new();
        let mut next = None;
        for (place, known) in self.runs.range((Bound::Unbounded, end)).rev() {
            if !query.applies_to(&known.summary, known.status(), known.waits_for()) {
                continue;
            }
            if runs.len() == query.page {
                return RunPage { runs, next };
            }
            runs.push(known.told());
            next = Some(place.clone());
        }
        RunPage { runs, next: None }
    }

    fn follow(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        let Some(id) = event.stream.as_str().strip_prefix(STREAM_PREFIX) else { return Ok(()) };
        let kind = event.kind.as_str();
        if kind == "workflow.started.v1" {
            if let Some(RunEvent::Started(started)) = RunEvent::read(event)? {
                self.started(id, *started, event.at);
            }
            return Ok(());
        }
        let Some(place) = self.places.get(id) else { return Ok(()) };
        if kind == "workflow.archived.v1" {
            self.runs.remove(place);
            self.places.remove(id);
            return Ok(());
        }
        let Some(known) = self.runs.get_mut(place) else { return Ok(()) };
        known.summary.last = event.at;
        // The larger ones say nothing that is told.
        let silent = ["workflow.snapshot.v1", "workflow.signalled.v1", "workflow.updated.v1"];
        if !silent.contains(&kind)
            && let Some(read) = RunEvent::read(event)?
        {
            known.follow(read, event.at);
        }
        Ok(())
    }

    fn started(&mut self, id: &str, started: RunStarted, at: Timestamp) {
        let RunStarted { run, workflow, actor, parent, .. } = started;
        let place = RunCursor { started: at, run: run.clone() };
        let summary = RunSummary {
            run,
            workflow,
            actor,
            parent: parent.map(|parent| parent.run),
            started: at,
            last: at,
            ended: None,
            status: RunStatus::Running,
            waits: Vec::new(),
        };
        let known = Known {
            summary,
            paused: false,
            rolling_back: false,
            outcome: None,
            under_way: BTreeSet::new(),
            waits: BTreeMap::new(),
            queued: None,
        };
        self.places.insert(id.to_owned(), place.clone());
        self.runs.insert(place, known);
    }
}

impl Known {
    fn follow(&mut self, event: RunEvent, at: Timestamp) {
        if self.outcome.is_some() {
            if matches!(event, RunEvent::RollBackRequested { .. })
                && self.outcome == Some(RunStatus::Completed)
            {
                self.outcome = None;
                self.summary.ended = None;
                self.rolling_back = true;
            }
            return;
        }
        match event {
            RunEvent::Waiting { task, on, until } => {
                self.under_way.remove(&task);
                self.waits.insert(task, (on, until));
            }
            RunEvent::Began { task, .. }
            | RunEvent::Failed { task, again: Some(_), .. }
            | RunEvent::Unknown { task, .. }
            | RunEvent::Decided { task, .. }
            | RunEvent::AskedAgain { task } => {
                self.waits.remove(&task);
                self.under_way.insert(task);
            }
            RunEvent::Succeeded { task, .. }
            | RunEvent::Failed { task, again: None, .. }
            | RunEvent::ChildEnded { task, .. } => {
                self.waits.remove(&task);
                self.under_way.remove(&task);
            }
            RunEvent::Queued { key, until } => self.queued = Some((key, until)),
            RunEvent::Admitted { .. } => self.queued = None,
            RunEvent::Paused { .. } => self.paused = true,
            RunEvent::Resumed | RunEvent::CancelRequested { .. } => self.paused = false,
            RunEvent::RollingBack { cause } => {
                self.paused &= !matches!(cause, FailureCause::Deadline { .. });
                self.rolling_back = true;
                self.queued = None;
                self.waits.retain(|_, (on, _)| matches!(on, Wait::Run(_)));
            }
            RunEvent::Ended(outcome) => {
                let completed = matches!(outcome, RunOutcome::Completed { .. });
                self.outcome = Some(if completed { RunStatus::Completed } else { RunStatus::RolledBack });
                self.summary.ended = Some(at);
                self.paused = false;
                self.under_way = BTreeSet::new();
                self.waits = BTreeMap::new();
                self.queued = None;
            }
            _ => {}
        }
    }

    fn waits_for(&self) -> impl Iterator<Item = WaitKind> {
        let queued = self.queued.iter().map(|_| WaitKind::Limit);
        queued.chain(self.waits.values().map(|(on, _)| on.kind()))
    }

    fn status(&self) -> RunStatus {
        let waits = !self.waits.is_empty() || self.queued.is_some();
        match self.outcome {
            Some(outcome) => outcome,
            None if self.paused => RunStatus::Paused,
            None if self.rolling_back => RunStatus::RollingBack,
            None if waits && self.under_way.is_empty() => RunStatus::Waiting,
            None => RunStatus::Running,
        }
    }

    /// The run as it is told.
    fn told(&self) -> RunSummary {
        let queued = self.queued.iter().map(|(key, until)| Waiting {
            task: None,
            on: Wait::Limit(key.clone()),
            until: *until,
        });
        let tasks = self.waits.iter().map(|(task, (on, until))| Waiting {
            task: Some(task.clone()),
            on: on.clone(),
            until: *until,
        });
        RunSummary { status: self.status(), waits: queued.chain(tasks).collect(), ..self.summary.clone() }
    }
}
