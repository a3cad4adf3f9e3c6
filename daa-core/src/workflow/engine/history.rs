//! What happened to runs, and where that is kept.

use super::{PLANS, WorkflowEngine};
use crate::digest::Digest;
use crate::id::RunId;
use crate::workflow::archive::{self, HistoryEntry};
use crate::workflow::error::WorkflowError;
use crate::workflow::explain::{self, Explanation};

impl WorkflowEngine {
    /// Everything that happened to a run.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownRun`], or a store that cannot be read.
    pub async fn history(&self, run: &RunId) -> Result<Vec<HistoryEntry>, WorkflowError> {
        archive::history(&self.parts, run).await
    }

    /// What happened to a run and why, in words.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub async fn explain(&self, run: &RunId) -> Result<Explanation, WorkflowError> {
        let history = self.history(run).await?;
        Ok(explain::explain(self.load(run).await?.workflow(), &history))
    }

    /// Moves the history of a run that has ended to an artefact, and frees its place in the store. View, history and
    /// explanation of the run are then read from there. Answers where it is. Safe to repeat.
    ///
    /// The actions of the run are left where they are: they are what an audit reads. Plans of agents are archived by
    /// workers with a [retention](crate::workflow::WorkerOptions::with_retention), once the agent has begun another.
    ///
    /// # Errors
    /// [`WorkflowError::Open`] for a run that has not ended, or that one waited for that has not;
    /// [`WorkflowError::ReservedRun`] for the plan of an agent, [`WorkflowError::NoArchive`] without a store of
    /// artefacts, [`WorkflowError::NotArchivable`] and [`WorkflowError::ArchiveDiffers`] where what would be erased is
    /// not what the artefact holds, or a store that fails.
    ///
    /// # Cancel safety
    /// Safe; nothing is erased before its archive is durable, and was read back.
    pub async fn archive(&self, run: &RunId) -> Result<Digest, WorkflowError> {
        if run.as_str().starts_with(PLANS) {
            return Err(WorkflowError::ReservedRun { run: run.clone() });
        }
        archive::archive(&self.parts, run).await
    }
}
