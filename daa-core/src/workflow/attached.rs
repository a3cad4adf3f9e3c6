//! Runs that are performed by whoever started them: the plans of agents.

use std::sync::Arc;

use tokio::sync::Notify;

use super::definition::{ActionPlan, Compiled};
use super::drive::{Drive, Standing, Stop};
use super::error::WorkflowError;
use super::library::Library;
use super::limits::LimitBook;
use super::load;
use super::metrics::Counters;
use super::parts::Parts;
use super::run::{Claim, RunStarted, StepEnd};
use super::snapshots::Snapshots;
use crate::action::{Executors, Gate};
use crate::clock::Clock;
use crate::event::{EventStore, Version};
use crate::id::{AgentId, RunId};

/// A plan as a run. The log has its progress; the plan itself its owner keeps, and brings it again to go on.
pub(crate) struct Attached {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) clock: Arc<dyn Clock>,
    /// On the same store.
    pub(crate) gate: Gate,
    pub(crate) executors: Executors,
    pub(crate) run: RunId,
    pub(crate) actor: AgentId,
    /// A later life of the same worker fences this one off.
    pub(crate) claim: Claim,
    pub(crate) plan: ActionPlan,
}

/// Why a plan was not brought to its end. Whoever brings it again goes on from what is durable.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Somebody else performs it, or has written to it meanwhile.
    Lost,
    Failed(WorkflowError),
}

impl<E: Into<WorkflowError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Attached {
    /// Performs the plan, and undoes what was done where a step fails. Answers what became of each step; those that
    /// had ended before this call are replayed.
    ///
    /// `begun`: it may have been begun before. A dropped call leaves what a crash leaves.
    pub(crate) async fn perform(self, begun: bool) -> Result<Vec<StepEnd>, Halt> {
        let Self { store, clock, gate, executors, run, actor, claim, plan } = self;
        let definition = Compiled::plan(plan);
        // It is in no stream: who performs the run has the plan.
        let library = Library::default();
        library.learn(definition.clone());
        let (library, counters) = (Arc::new(library), Arc::new(Counters::default()));
        let artifacts = None;
        let snapshots = Snapshots::default();
        let parts = Parts { store, clock, gate, executors, library, artifacts, counters, snapshots };
        let parts = Arc::new(parts);
        let (limits, nudged) = (Arc::new(LimitBook::default()), Arc::new(Notify::new()));
        let standing = Standing::forever();
        let known = match begun {
            true => load::load(&*parts.store, &parts.library, &run, Version::EMPTY).await?,
            false => None,
        };
        let mut before = Vec::new();
        let mut drive = match known {
            Some(run) if run.outcome().is_some() => return Ok(replayed(run.tally(), usize::MAX)),
            Some(run) if run.claim().is_some_and(|theirs| theirs.replaces(&claim)) => return Err(Halt::Lost),
            Some(run) => {
                before = run.tally();
                Drive::new(parts, run, claim, standing, limits, nudged)?
            }
            None => {
                let started = RunStarted::attached(run, actor, &definition);
                Drive::start(parts, (started, definition), claim, standing, limits, nudged)?
            }
        };
        match drive.drive().await {
            Stop::Ended => {
                let done = |end: &&StepEnd| matches!(end, StepEnd::Succeeded { .. });
                Ok(replayed(drive.run().tally(), before.iter().take_while(done).count()))
            }
            // It never rests by itself: a late write of an earlier call came in between.
            Stop::Parked { .. } | Stop::Lost => Err(Halt::Lost),
            Stop::Failed(error) => Err(Halt::Failed(error)),
        }
    }
}

/// The first `known` steps had ended before.
fn replayed(mut ends: Vec<StepEnd>, known: usize) -> Vec<StepEnd> {
    for end in ends.iter_mut().take(known) {
        if let StepEnd::Succeeded { replayed, .. } = end {
            *replayed = true;
        }
    }
    ends
}
