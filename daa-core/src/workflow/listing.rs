//! Which runs there are: what can be asked, and what is told.

mod roster;

use serde::{Deserialize, Serialize};

use super::run::{Task, Wait};
use crate::clock::Timestamp;
use crate::id::{AgentId, RunId, WorkflowName};

pub(super) use roster::Roster;

/// How far a run in a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunStatus {
    /// Something is under way, about to begin, or to be tried again.
    Running,
    /// Nothing is under way: it waits.
    Waiting,
    /// Nothing new is begun.
    Paused,
    /// What was done is being undone.
    RollingBack,
    /// Every step is settled, and nothing was undone.
    Completed,
    /// It failed or was cancelled, and what was done was undone as far as it could be.
    RolledBack,
}

impl RunStatus {
    /// Those of runs that have not ended.
    pub const OPEN: [Self; 4] = [Self::Running, Self::Waiting, Self::Paused, Self::RollingBack];

    /// Whether the run has not ended.
    #[must_use]
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }
}

/// What kind of thing a run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitKind {
    /// A moment.
    Timer,
    /// A signal.
    Signal,
    /// Somebody's approval.
    Approval,
    /// Another run.
    Run,
    /// Room under a limit.
    Limit,
}

impl Wait {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> WaitKind {
        match self {
            Self::Timer => WaitKind::Timer,
            Self::Signal(_) => WaitKind::Signal,
            Self::Approval(_) => WaitKind::Approval,
            Self::Run(_) => WaitKind::Run,
            Self::Limit(_) => WaitKind::Limit,
        }
    }
}

/// Something that a run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The task that waits; `None`: the run itself, for room under the limit of its workflow.
    pub task: Option<Task>,
    /// For what.
    pub on: Wait,
    /// Until when, at most.
    pub until: Option<Timestamp>,
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunSummary {
    /// Which.
    pub run: RunId,
    /// Of which workflow.
    pub workflow: WorkflowName,
    /// In whose name it acts.
    pub actor: AgentId,
    /// The run that waits for it, or waited for it.
    pub parent: Option<RunId>,
    /// When it began.
    pub started: Timestamp,
    /// When something happened to it last.
    pub last: Timestamp,
    /// When it ended; `None` as long as it has not.
    pub ended: Option<Timestamp>,
    /// How far it is.
    pub status: RunStatus,
    /// What it waits for, in the order of the names of the steps. There may be something under way beside that.
    pub waits: Vec<Waiting>,
}

/// Which runs are asked for: those to which all of it applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunQuery {
    workflow: Option<WorkflowName>,
    actor: Option<AgentId>,
    parent: Option<RunId>,
    status: Vec<RunStatus>,
    waits_for: Option<WaitKind>,
    after: Option<RunCursor>,
    page: usize,
}

impl Default for RunQuery {
    fn default() -> Self {
        Self {
            workflow: None,
            actor: None,
            parent: None,
            status: Vec::new(),
            waits_for: None,
            after: None,
            page: Self::DEFAULT_PAGE,
        }
    }
}

impl RunQuery {
    /// How many runs are on a page, unless something else is said.
    pub const DEFAULT_PAGE: usize = 100;
    /// How many runs are on a page at most.
    pub const MAX_PAGE: usize = 1_000;

    /// All runs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs that have not ended.
    #[must_use]
    pub fn open() -> Self {
        Self::new().with_status(RunStatus::OPEN)
    }

    /// Those of a workflow, in any version.
    #[must_use]
    pub fn with_workflow(mut self, workflow: WorkflowName) -> Self {
        self.workflow = Some(workflow);
        self
    }

    /// Those that act in this name.
    #[must_use]
    pub fn with_actor(mut self, actor: AgentId) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Those that this run waits for, or waited for.
    #[must_use]
    pub fn with_parent(mut self, parent: RunId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Those that are as far as one of these says.
    #[must_use]
    pub fn with_status(mut self, status: impl IntoIterator<Item = RunStatus>) -> Self {
        self.status = status.into_iter().collect();
        self
    }

    /// Those of which at least one task waits for something of this kind, whatever else is under way.
    #[must_use]
    pub const fn waiting_for(mut self, kind: WaitKind) -> Self {
        self.waits_for = Some(kind);
        self
    }

    /// How many are told at a time; brought into `1..=MAX_PAGE`.
    #[must_use]
    pub fn with_page(mut self, runs: usize) -> Self {
        self.page = runs.clamp(1, Self::MAX_PAGE);
        self
    }

    /// Those that come behind an earlier page.
    #[must_use]
    pub fn after(mut self, cursor: RunCursor) -> Self {
        self.after = Some(cursor);
        self
    }

    fn applies_to(
        &self,
        run: &RunSummary,
        status: RunStatus,
        mut waits: impl Iterator<Item = WaitKind>,
    ) -> bool {
        self.workflow.as_ref().is_none_or(|workflow| *workflow == run.workflow)
            && self.actor.as_ref().is_none_or(|actor| *actor == run.actor)
            && self.parent.as_ref().is_none_or(|parent| Some(parent) == run.parent.as_ref())
            && (self.status.is_empty() || self.status.contains(&status))
            && self.waits_for.is_none_or(|kind| waits.any(|wait| wait == kind))
    }
}

/// A place in the list of runs. It can be written down, and stays valid whatever happens to the runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunCursor {
    started: Timestamp,
    run: RunId,
}

/// A part of the list of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunPage {
    /// The runs, the one that began last first; of those that began at the same moment, by their ids backwards.
    pub runs: Vec<RunSummary>,
    /// Where the next page begins; `None`: this one is the last.
    pub next: Option<RunCursor>,
}
