//! What happens to a run, as events of its stream.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::failure::{FailureCause, StepError};
use super::snapshot::Snapshot;
use crate::amount::Money;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::event::{DecodeError, NewEvent, RecordedEvent};
use crate::id::{
    AgentId, EventKind, IdError, LimitKey, RunId, SignalName, SourceId, StepName, StreamId, WorkerName,
    WorkflowName,
};
use crate::workflow::definition::Compiled;
use crate::workflow::trace::TraceContext;

/// The longest id of a run, in bytes: the names of its actions, and of the runs that it starts, are made of it.
pub const MAX_RUN_ID: usize = 100;
/// What stands before the id of a run in the name of its stream.
pub(in crate::workflow) const STREAM_PREFIX: &str = "workflow/";

/// The stream of a run.
///
/// # Errors
/// [`IdError::TooLong`] when the id leaves no room for the names that are made of it.
pub(in crate::workflow) fn stream_of(run: &RunId) -> Result<StreamId, IdError> {
    StreamId::joined(&[STREAM_PREFIX, run.as_str()])
}

/// One doing of a step: the step, and which of its doings; the first is number 0. A step that is done once has only
/// that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    /// The step.
    pub step: StepName,
    /// Which item of its list, or which time of its loop, from 0.
    pub lane: u32,
}

impl Task {
    /// A doing of a step.
    #[must_use]
    pub const fn new(step: StepName, lane: u32) -> Self {
        Self { step, lane }
    }

    /// As it is shown.
    pub(in crate::workflow) fn text(&self) -> Cow<'_, str> {
        match self.lane {
            0 => Cow::Borrowed(self.step.as_str()),
            _ => Cow::Owned(self.to_string()),
        }
    }

    /// The id of the run that does it.
    pub(in crate::workflow) fn child_id(&self, run: &RunId) -> Result<RunId, IdError> {
        RunId::new(format!("{run}/{self}"))
    }
}

/// `step`, or `step.lane` beyond the first lane.
impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lane {
            0 => write!(f, "{}", self.step),
            lane => write!(f, "{}.{lane}", self.step),
        }
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.lane == 0 {
            serializer.serialize_str(self.step.as_str())
        } else {
            serializer.collect_str(self)
        }
    }
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let (step, lane) = match text.rsplit_once('.') {
            Some((step, lane)) => (step, lane.parse().map_err(de::Error::custom)?),
            None => (&*text, 0),
        };
        Ok(Self { step: StepName::new(step).map_err(de::Error::custom)?, lane })
    }
}

/// Who performs a run: a worker, in the life that it had when it took the run. The next life, or another worker,
/// fences this one off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The worker.
    pub worker: WorkerName,
    /// Which life of it, from 1: the fencing token of its lease.
    pub incarnation: u64,
}

impl Claim {
    /// Whether it is of a later life of the same worker.
    pub(in crate::workflow) fn replaces(&self, earlier: &Self) -> bool {
        self.worker == earlier.worker && self.incarnation > earlier.incarnation
    }
}

/// The run that waits for this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run.
    pub run: RunId,
    /// The step of it.
    pub task: Task,
}

/// How a run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunStarted {
    /// Which run.
    pub run: RunId,
    /// The name of its workflow.
    pub workflow: WorkflowName,
    /// The definition that it is pinned to.
    pub definition: Digest,
    /// In whose name it acts.
    pub actor: AgentId,
    /// What it was given.
    pub input: Value,
    /// The larger, the sooner it is performed when not all can be.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i16,
    /// The run that waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The trace it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// It is performed by whoever started it, and no worker takes it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attached: bool,
    /// The untrusted sources of what it was given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sources: BTreeSet<SourceId>,
}

impl RunStarted {
    /// The beginning of a run that a task of `parent` waits for.
    pub(in crate::workflow) fn child(
        parent: &Self,
        run: RunId,
        task: Task,
        definition: Arc<Compiled>,
        input: Value,
    ) -> Self {
        Self {
            run,
            workflow: definition.workflow.name.clone(),
            definition: definition.digest,
            actor: parent.actor.clone(),
            input,
            priority: parent.priority,
            parent: Some(Parent { run: parent.run.clone(), task }),
            trace: None,
            attached: false,
            sources: BTreeSet::new(),
        }
    }

    /// The beginning of a run that whoever starts it performs.
    pub(in crate::workflow) fn attached(run: RunId, actor: AgentId, definition: &Compiled) -> Self {
        Self {
            run,
            workflow: definition.workflow.name.clone(),
            definition: definition.digest,
            actor,
            input: Value::Null,
            priority: 0,
            parent: None,
            trace: None,
            attached: true,
            sources: BTreeSet::new(),
        }
    }

    pub(in crate::workflow) fn with_trace(self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self }
    }

    /// What it was given comes from these sources too.
    pub(in crate::workflow) fn with_sources(mut self, sources: impl IntoIterator<Item = SourceId>) -> Self {
        self.sources.extend(sources);
        self
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A request for approval: what it holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApprovalRequest {
    /// Which request of the task, from 1: an answer names it, so that it counts once.
    pub number: u32,
    /// The digest of what is approved.
    pub subject: Digest,
    /// The content hash of the rules under which it was asked.
    pub ruleset: Digest,
    /// Who may approve; empty: whoever the rules permit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<AgentId>,
    /// Why it is asked, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The answer to a request for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Approval {
    /// Which request it answers.
    pub number: u32,
    /// Who answered.
    pub by: AgentId,
    /// Whether it is approved.
    pub approved: bool,
    /// What is approved.
    pub subject: Digest,
    /// The rules under which it was asked, and answered.
    pub ruleset: Digest,
    /// When.
    pub at: Timestamp,
    /// Until when it may be used.
    pub expires: Timestamp,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// What a task waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Wait {
    /// A moment.
    Timer,
    /// A signal.
    Signal(SignalName),
    /// Somebody's approval.
    Approval(ApprovalRequest),
    /// Another run.
    Run(RunId),
    /// Room under a limit.
    Limit(LimitKey),
}

/// How the undoing of a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undone {
    /// Its effect is undone.
    Done,
    /// Nothing undoes it.
    Impossible,
}

/// How another run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildResult {
    /// It completed, with this output.
    Completed(Value),
    /// It did not, and everything it did is undone.
    Failed(String),
    /// It did not, and something of what it did could not be undone.
    PartlyUndone {
        /// Why it failed.
        cause: String,
        /// What could not be undone, of its own tasks.
        left: Vec<Task>,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunOutcome {
    /// Every step is settled.
    Completed {
        /// What it yields.
        output: Value,
    },
    /// It failed or was cancelled, and what was done was undone as far as it could be.
    RolledBack {
        /// Why.
        cause: FailureCause,
        /// What could not be undone; empty when everything was.
        left: Vec<Task>,
    },
}

impl RunOutcome {
    /// Whether every step is settled, and nothing was undone.
    #[must_use]
    pub const fn is_completed(&self) -> bool {
        matches!(self, Self::Completed { .. })
    }
}

/// What happens to a run. All events of one run stand in its own stream, `workflow/ID`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunEvent {
    /// It was asked for.
    Started(Box<RunStarted>),
    /// A worker took it.
    Claimed(Claim),
    /// There is room for it under the limit of its workflow.
    Admitted {
        /// What it holds until it ends.
        key: LimitKey,
    },
    /// There is no room for it under the limit of its workflow.
    Queued {
        /// The limit.
        key: LimitKey,
        /// When there may be, if that is known.
        until: Option<Timestamp>,
    },
    /// A step over a list was opened.
    Opened {
        /// The step.
        step: StepName,
        /// How many items there are.
        lanes: u32,
    },
    /// A task is handed to its executor, or handed to it again.
    Began {
        /// The task.
        task: Task,
        /// Which try, from 1.
        #[serde(rename = "try")]
        attempt: u32,
        /// When the step must have ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
        /// The limit under which it holds a place until it ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<LimitKey>,
    },
    /// A task waits.
    Waiting {
        /// The task.
        task: Task,
        /// For what.
        on: Wait,
        /// Until when, at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// A task is done.
    Succeeded {
        /// The task.
        task: Task,
        /// What it yields.
        output: Value,
        /// What it cost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost: Option<Money>,
        /// It had taken effect before the run asked for it.
        #[serde(default, skip_serializing_if = "is_default")]
        replayed: bool,
        /// The untrusted sources of what it yields.
        #[serde(default, skip_serializing_if = "is_default")]
        sources: BTreeSet<SourceId>,
    },
    /// A try failed.
    Failed {
        /// The task.
        task: Task,
        /// Why.
        error: StepError,
        /// When it is tried again; `None`: it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again: Option<Timestamp>,
        /// It took effect all the same, and has to be undone.
        #[serde(default, skip_serializing_if = "is_default")]
        effect: bool,
        /// What it yields, where it took effect: of no use to the run, but to whatever undoes it.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        output: Value,
    },
    /// Nobody can say yet whether a try took effect.
    Unknown {
        /// The task.
        task: Task,
        /// Why.
        error: StepError,
        /// When its executor is asked again.
        again: Timestamp,
    },
    /// The executor of a task was asked what became of an attempt, and knew it.
    Reconciled {
        /// The task.
        task: Task,
        /// Whether it took effect.
        effect: bool,
        /// It was an attempt to undo the task.
        #[serde(default, skip_serializing_if = "is_default")]
        undo: bool,
    },
    /// The condition of a step does not hold.
    Skipped {
        /// The step.
        step: StepName,
    },
    /// A loop goes on.
    Repeated {
        /// The time that begins.
        task: Task,
    },
    /// A task gave back its place under a limit.
    Released {
        /// The task.
        task: Task,
    },
    /// A task reported progress.
    Progressed {
        /// The task.
        task: Task,
        /// How far it is, in words of its own.
        details: Value,
    },
    /// A signal came.
    Signalled {
        /// Which.
        signal: SignalName,
        /// What it carries.
        payload: Value,
        /// Under which key it counts once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// A request for approval was answered.
    Decided {
        /// The task.
        task: Task,
        /// The answer.
        approval: Approval,
    },
    /// A request for approval stands no longer, because the rules changed, or what it was about: the task begins again.
    AskedAgain {
        /// The task.
        task: Task,
    },
    /// A run that a task waits for came to its end.
    ChildEnded {
        /// The task.
        task: Task,
        /// How.
        result: ChildResult,
        /// The untrusted sources of what it yields.
        #[serde(default, skip_serializing_if = "is_default")]
        sources: BTreeSet<SourceId>,
    },
    /// What a completed run did is to be undone after all.
    RollBackRequested {
        /// Who asked.
        by: AgentId,
        /// Why, for people.
        reason: String,
        /// The priority of the run, for workers that do not know it any more.
        #[serde(default, skip_serializing_if = "is_default")]
        priority: i16,
    },
    /// What a run did that a task had waited for was undone.
    ChildUndone {
        /// The task.
        task: Task,
        /// What could not be undone; empty when everything was.
        left: Vec<Task>,
    },
    /// A variable was changed.
    Updated {
        /// Its name.
        var: String,
        /// Its value.
        value: Value,
    },
    /// Nothing new is begun until it is resumed or cancelled, or its deadline has come.
    Paused {
        /// Why, for people.
        reason: String,
    },
    /// It goes on.
    Resumed,
    /// It is to stop, and what was done is to be undone. A pause is over.
    CancelRequested {
        /// Who asked.
        by: AgentId,
        /// Why, for people.
        reason: String,
    },
    /// What was done is undone from now on, the last first.
    RollingBack {
        /// Why.
        cause: FailureCause,
    },
    /// The undoing of a task is handed to its executor, or handed to it again.
    UndoBegan {
        /// The task.
        task: Task,
        /// Which try, from 1.
        #[serde(rename = "try")]
        attempt: u32,
    },
    /// The undoing of a task is over.
    Undone {
        /// The task.
        task: Task,
        /// How it ended.
        result: Undone,
    },
    /// A try to undo a task failed, or its outcome is not known.
    UndoFailed {
        /// The task.
        task: Task,
        /// Why.
        error: StepError,
        /// When it is tried again; `None`: it is left as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again: Option<Timestamp>,
    },
    /// Nothing is under way: the run rests until this moment, or until something else happens to it.
    Parked {
        /// When it goes on by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// The limits under which it waits for room.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        on: Vec<LimitKey>,
    },
    /// It came to its end.
    Ended(RunOutcome),
    /// It goes on under another definition.
    Migrated {
        /// The definition from now on.
        definition: Digest,
    },
    /// The sum of all earlier events.
    Snapshot(Box<Snapshot>),
    /// Its earlier events were moved to an artefact.
    Archived {
        /// Where they are.
        artifact: Digest,
        /// How many.
        events: u64,
    },
}

macro_rules! kinds {
    ($($variant:ident => $kind:literal,)*) => {
        impl RunEvent {
            /// The kind that events of this variant are stored under.
            const fn kind(&self) -> EventKind {
                match self {
                    $(Self::$variant { .. } => const { EventKind::constant($kind) },)*
                }
            }
        }
    };
}

kinds! {
    Started => "workflow.started.v1",
    Claimed => "workflow.claimed.v1",
    Admitted => "workflow.admitted.v1",
    Queued => "workflow.queued.v1",
    Opened => "workflow.opened.v1",
    Began => "workflow.began.v1",
    Waiting => "workflow.waiting.v1",
    Succeeded => "workflow.succeeded.v1",
    Failed => "workflow.failed.v1",
    Unknown => "workflow.unknown.v1",
    Reconciled => "workflow.reconciled.v1",
    Skipped => "workflow.skipped.v1",
    Repeated => "workflow.repeated.v1",
    Released => "workflow.released.v1",
    Progressed => "workflow.progressed.v1",
    Signalled => "workflow.signalled.v1",
    Decided => "workflow.decided.v1",
    AskedAgain => "workflow.asked_again.v1",
    ChildEnded => "workflow.child_ended.v1",
    RollBackRequested => "workflow.roll_back_requested.v1",
    ChildUndone => "workflow.child_undone.v1",
    Updated => "workflow.updated.v1",
    Paused => "workflow.paused.v1",
    Resumed => "workflow.resumed.v1",
    CancelRequested => "workflow.cancel_requested.v1",
    RollingBack => "workflow.rolling_back.v1",
    UndoBegan => "workflow.undo_began.v1",
    Undone => "workflow.undone.v1",
    UndoFailed => "workflow.undo_failed.v1",
    Parked => "workflow.parked.v1",
    Ended => "workflow.ended.v1",
    Migrated => "workflow.migrated.v1",
    Snapshot => "workflow.snapshot.v1",
    Archived => "workflow.archived.v1",
}

impl RunEvent {
    /// A try came to nothing.
    pub(in crate::workflow) const fn failed(task: Task, error: StepError, again: Option<Timestamp>) -> Self {
        Self::Failed { task, error, again, effect: false, output: Value::Null }
    }

    /// A task that is no action is done.
    pub(in crate::workflow) fn done(task: Task, output: Value) -> Self {
        Self::Succeeded { task, output, cost: None, replayed: false, sources: BTreeSet::new() }
    }

    /// Reads a recorded event; `None` when it is not about a run.
    ///
    /// # Errors
    /// [`DecodeError`] when it is, but does not decode.
    pub fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        if event.kind.as_str().starts_with("workflow.") { event.json().map(Some) } else { Ok(None) }
    }

    pub(in crate::workflow) fn to_new(&self, at: Timestamp) -> Result<NewEvent, DecodeError> {
        NewEvent::json(self.kind(), at, self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_of_earlier_versions_are_read() {
        let read = |json: Value| serde_json::from_value::<RunEvent>(json).unwrap();
        let task = Task::new("s".try_into().unwrap(), 0);
        let failed = read(json!({ "failed": { "task": "s", "error": "no_list", "effect": true } }));
        let error = StepError::NoList;
        let expected =
            RunEvent::Failed { task: task.clone(), error, again: None, effect: true, output: Value::Null };
        assert_eq!(failed, expected);
        let ended = read(json!({ "child_ended": { "task": "s", "result": { "failed": "why" } } }));
        let result = ChildResult::Failed("why".to_owned());
        assert_eq!(ended, RunEvent::ChildEnded { task, result, sources: BTreeSet::new() });
    }
}
