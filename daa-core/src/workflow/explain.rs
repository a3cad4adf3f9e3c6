//! What happened to a run, in words.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use super::archive::HistoryEntry;
use super::definition::dependencies;
use super::run::{ChildResult, RunEvent, RunOutcome, RunView, StepStatus, Task, Undone, Wait};
use super::{Condition, StepMark, Workflow};
use crate::clock::Timestamp;
use crate::failure_text::shortened;
use crate::id::StepName;

/// What happened to a run, line by line, in words. Shown with `{}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The lines, in order.
    pub lines: Vec<ExplainedEvent>,
}

/// One line of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExplainedEvent {
    /// When it happened.
    pub at: Timestamp,
    /// What happened, and why.
    pub text: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{}  {}", moment(line.at), line.text)?;
        }
        Ok(())
    }
}

/// A moment in UTC, to the millisecond.
fn moment(at: Timestamp) -> String {
    // Beyond the year 9999 there is no such text.
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(at.as_millis().min(253_402_300_799_999)));
    time.map_or_else(String::new, |time| humantime::format_rfc3339_millis(time).to_string())
}

pub(super) fn explain(workflow: &Workflow, history: &[HistoryEntry]) -> Explanation {
    let words = |entry: &HistoryEntry| {
        let text = words(workflow, entry)?;
        Some(ExplainedEvent { at: entry.at, text: shortened(text) })
    };
    Explanation { lines: history.iter().filter_map(words).collect() }
}

fn words(workflow: &Workflow, entry: &HistoryEntry) -> Option<String> {
    Some(match &entry.event {
        RunEvent::Started(started) => {
            let parent = started.parent.as_ref();
            let waits = parent.map(|parent| format!("; step {} of {} waits for it", parent.task, parent.run));
            let waits = waits.unwrap_or_default();
            let definition = started.definition.short();
            format!("started: workflow {} ({definition}), for {}{waits}", started.workflow, started.actor)
        }
        RunEvent::Claimed(claim) => format!("taken by worker {}, life {}", claim.worker, claim.incarnation),
        RunEvent::Admitted { key } => format!("there is room under the limit {key}"),
        RunEvent::Queued { key, .. } => format!("waits for room under the limit {key}"),
        RunEvent::Opened { step, lanes } => format!("{step}: {lanes} items"),
        RunEvent::Began { task, attempt, held, .. } => {
            let mut after = workflow.step(&task.step).map(dependencies).unwrap_or_default();
            after.sort_unstable();
            after.dedup();
            let why = match after.as_slice() {
                [] => String::new(),
                _ if *attempt > 1 => String::new(),
                [one] => format!(", because {one} is settled"),
                several => format!(", because {} are settled", several.join(" and ")),
            };
            let held = held.as_ref().map(|key| format!(", under the limit {key}")).unwrap_or_default();
            format!("{task}: begins, try {attempt}{why}{held}")
        }
        RunEvent::Waiting { task, on, until } => {
            let until = until.map(|until| format!(", until {}", moment(until))).unwrap_or_default();
            let what = match on {
                Wait::Timer => "waits".to_owned(),
                Wait::Signal(signal) => format!("waits for signal {signal}"),
                Wait::Approval(request) => format!(
                    "waits for approval of {} under rules {}: {}",
                    request.subject.short(),
                    request.ruleset.short(),
                    request.reason
                ),
                Wait::Run(run) => format!("waits for run {run}"),
                Wait::Limit(key) => format!("waits for room under the limit {key}"),
            };
            format!("{task}: {what}{until}")
        }
        RunEvent::Succeeded { task, output, cost, replayed, .. } => {
            let before = if *replayed { " before" } else { "" };
            let cost = cost.map(|cost| format!(", cost {cost}")).unwrap_or_default();
            format!("{task}: done{before}, yields {output}{cost}")
        }
        RunEvent::Failed { task, error, again, effect, .. } => {
            let next =
                again.map_or_else(|| "not tried again".to_owned(), |at| format!("again at {}", moment(at)));
            let effect = if *effect { ", though it took effect" } else { "" };
            format!("{task}: failed{effect}: {error}; {next}")
        }
        RunEvent::Unknown { task, error, again } => {
            format!("{task}: {error}; its executor is asked again at {}", moment(*again))
        }
        RunEvent::Reconciled { task, effect, undo } => {
            let undo = if *undo { "its undo" } else { "it" };
            let came = if *effect { "it took effect" } else { "nothing" };
            format!("{task}: its executor was asked what became of {undo}: {came}")
        }
        RunEvent::Skipped { step } => {
            let when = workflow.step(step).and_then(|step| step.when.as_ref()).map(condition);
            let when = when.map(|when| format!(": {when} does not hold")).unwrap_or_default();
            format!("{step}: skipped{when}")
        }
        RunEvent::Repeated { task } => format!("{task}: once more, because its loop has not come to its end"),
        RunEvent::Released { task } => format!("{task}: gives back its place under a limit"),
        RunEvent::Progressed { task, details } => format!("{task}: reports {details}"),
        RunEvent::Signalled { signal, payload, .. } => format!("signal {signal} came with {payload}"),
        RunEvent::Decided { task, approval } => {
            let what = if approval.approved { "approved" } else { "turned down" };
            let comment = if approval.comment.is_empty() { "" } else { ": " };
            format!("{task}: {what} by {}{comment}{}", approval.by, approval.comment)
        }
        RunEvent::AskedAgain { task } => {
            format!("{task}: asked again, because the rules have changed, or what it is about")
        }
        RunEvent::ChildEnded { task, result, .. } => match result {
            ChildResult::Completed(output) => format!("{task}: the other run completed with {output}"),
            ChildResult::Failed(error) => format!("{task}: the other run failed: {error}"),
            ChildResult::PartlyUndone { cause, left } => {
                format!("{task}: the other run failed, {} not undone: {cause}", tasks(left))
            }
        },
        RunEvent::RollBackRequested { by, reason, .. } => format!("{by} wants it undone after all: {reason}"),
        RunEvent::ChildUndone { task, left } if left.is_empty() => format!("{task}: the other run undid it"),
        RunEvent::ChildUndone { task, left } => {
            format!("{task}: the other run could not undo {} of its steps", left.len())
        }
        RunEvent::Updated { var, value } => format!("variable {var} is now {value}"),
        RunEvent::Paused { reason } => format!("paused: {reason}"),
        RunEvent::Resumed => "resumed".to_owned(),
        RunEvent::CancelRequested { by, reason } => format!("{by} wants it cancelled: {reason}"),
        RunEvent::RollingBack { cause } => format!("is rolled back, because {cause}"),
        RunEvent::UndoBegan { task, attempt } => format!("{task}: is undone, try {attempt}"),
        RunEvent::Undone { task, result: Undone::Done } => format!("{task}: undone"),
        RunEvent::Undone { task, result: Undone::Impossible } => format!("{task}: nothing undoes it"),
        RunEvent::UndoFailed { task, error, again } => {
            let next =
                again.map_or_else(|| "left as it is".to_owned(), |at| format!("again at {}", moment(at)));
            format!("{task}: could not be undone: {error}; {next}")
        }
        RunEvent::Parked { until: Some(until), .. } => format!("rests until {}", moment(*until)),
        RunEvent::Parked { until: None, .. } => "rests until something happens".to_owned(),
        RunEvent::Ended(RunOutcome::Completed { output }) => format!("completed with {output}"),
        RunEvent::Ended(RunOutcome::RolledBack { cause, left }) if left.is_empty() => {
            format!("ended, everything undone, because {cause}")
        }
        RunEvent::Ended(RunOutcome::RolledBack { cause, left }) => {
            format!("ended, {} not undone, because {cause}", tasks(left))
        }
        RunEvent::Migrated { definition } => format!("goes on under definition {}", definition.short()),
        RunEvent::Snapshot(_) => return None,
        RunEvent::Archived { artifact, events } => {
            format!("{events} events moved to artefact {}", artifact.short())
        }
    })
}

fn tasks(tasks: &[Task]) -> String {
    let tasks: Vec<_> = tasks.iter().map(ToString::to_string).collect();
    tasks.join(", ")
}

fn condition(condition: &Condition) -> String {
    serde_json::to_string(condition).unwrap_or_default()
}

/// How each step of a run is marked in its picture.
pub(super) fn marks(view: &RunView) -> Vec<(StepName, StepMark)> {
    let mut marks: Vec<(StepName, StepMark)> = Vec::new();
    for step in &view.steps {
        let mark = match &step.status {
            StepStatus::Pending | StepStatus::Dropped => StepMark::Waiting,
            StepStatus::Running
            | StepStatus::Retrying(_)
            | StepStatus::Unknown(_)
            | StepStatus::Waiting { .. }
            | StepStatus::Undoing => StepMark::Running,
            StepStatus::Succeeded => StepMark::Succeeded,
            StepStatus::Skipped => StepMark::Skipped,
            StepStatus::Failed(_) | StepStatus::NotUndone => StepMark::Failed,
            StepStatus::Undone => StepMark::Undone,
        };
        match marks.iter_mut().find(|(name, _)| *name == step.task.step) {
            // Of several doings the one that says most.
            Some((_, known)) if rank(mark) > rank(*known) => *known = mark,
            Some(_) => {}
            None => marks.push((step.task.step.clone(), mark)),
        }
    }
    marks
}

const fn rank(mark: StepMark) -> u8 {
    match mark {
        StepMark::Succeeded => 0,
        StepMark::Skipped => 1,
        StepMark::Waiting => 2,
        StepMark::Undone => 3,
        StepMark::Running => 4,
        StepMark::Failed => 5,
    }
}
