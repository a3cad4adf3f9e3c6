//! What can go wrong when workflows are started, asked and performed.

use super::definition::Mismatch;
use super::run::Refused;
use crate::action::GateError;
use crate::artifact::ArtifactError;
use crate::digest::Digest;
use crate::event::{AppendError, DecodeError, ReadError, Version};
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{IdError, RunId, WorkerName, WorkflowName};

/// Why a workflow was not started, not asked, or not brought further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// There is no such run.
    #[error("there is no run {run}")]
    UnknownRun {
        /// The run that was asked for.
        run: RunId,
    },
    /// No workflow of this name is registered.
    #[error("no workflow {name} is registered")]
    UnknownWorkflow {
        /// The name that was asked for.
        name: WorkflowName,
    },
    /// The definition that a run is pinned to is not in the store.
    #[error("the definition {digest} is not in the store")]
    UnknownDefinition {
        /// Its digest.
        digest: Digest,
    },
    /// The id was used to start something else.
    #[error("run {run} was started before, with another workflow or another input")]
    RunExists {
        /// The id.
        run: RunId,
    },
    /// The id is one of those that agents use for their plans.
    #[error("run ids that begin with agent/ are those of agents' plans, such as {run}")]
    ReservedRun {
        /// The id.
        run: RunId,
    },
    /// The input is not what the workflow takes.
    #[error("the input does not match")]
    Input(#[source] Mismatch),
    /// The input is too large.
    #[error("the input has {actual} bytes, at most {limit} are allowed")]
    InputTooLarge {
        /// Its size in bytes of JSON.
        actual: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// An id leaves no room for the names that are made of it.
    #[error("run id {run} is too long")]
    Id {
        /// The id.
        run: RunId,
        /// What is wrong with it.
        #[source]
        source: IdError,
    },
    /// A name leaves no room for those that are made of it.
    #[error("the name {name:?} cannot be used")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: IdError,
    },
    /// There is no such schedule.
    #[error("there is no schedule {name:?}")]
    UnknownSchedule {
        /// The name that was asked for.
        name: String,
    },
    /// The history of the run was moved to an artefact, and this engine has no store of artefacts, or it is not there.
    #[error("run {run} is archived in artefact {artifact}, which cannot be read")]
    Archived {
        /// The run.
        run: RunId,
        /// Where its history is.
        artifact: Digest,
    },
    /// The engine was given no store of artefacts to archive into.
    #[error("no store of artefacts is configured to archive into")]
    NoArchive,
    /// Only what has ended can be archived, together with all that it may have to be undone with.
    #[error("run {run} has not ended")]
    Open {
        /// The run that has not: the one itself, or one that waited for it.
        run: RunId,
    },
    /// An event in the stream of the run is not JSON. Nothing was archived.
    #[error("event {version} of run {run} is not JSON and cannot be archived")]
    NotArchivable {
        /// The run.
        run: RunId,
        /// The place of the event in its stream.
        version: Version,
    },
    /// The artefact does not hold the history that is to be erased. It was not erased.
    #[error("artefact {artifact} does not give back the history of run {run}, which was not erased")]
    ArchiveDiffers {
        /// The run.
        run: RunId,
        /// The artefact.
        artifact: Digest,
    },
    /// The store of artefacts failed.
    #[error("the artefact store failed")]
    Artifact(#[from] ArtifactError),
    /// The run does not do what was asked.
    #[error("refused")]
    Refused(#[from] Refused),
    /// The events of a run do not make sense: its stream does not begin with its start.
    #[error("the stream of run {run} does not begin with its start")]
    Damaged {
        /// The run.
        run: RunId,
    },
    /// Another life of this worker, or another worker, has taken over.
    #[error("worker {worker} was replaced: it was in life {ours}, now it is in life {theirs}")]
    Replaced {
        /// The worker.
        worker: WorkerName,
        /// The life that ended.
        ours: u64,
        /// The one that took over.
        theirs: u64,
    },
    /// Others were faster every time.
    #[error("gave up after {tries} conflicting writes")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// The gate could not record what it decided.
    #[error("the gate is not available")]
    Gate(#[source] GateError),
    /// The store did not take the events.
    #[error("the event store did not accept the events of the run")]
    Append(#[from] AppendError),
    /// The store cannot be read.
    #[error("the event store cannot be read")]
    Read(#[from] ReadError),
    /// An event does not decode.
    #[error("the history of the run is damaged")]
    Decode(#[from] DecodeError),
}

impl Reaction for WorkflowError {
    fn fault(&self) -> Fault {
        match self {
            Self::UnknownRun { .. } | Self::UnknownWorkflow { .. } | Self::RunExists { .. } => Fault::Caller,
            Self::Input(_) | Self::InputTooLarge { .. } | Self::Id { .. } | Self::Replaced { .. } => {
                Fault::Caller
            }
            Self::ReservedRun { .. } => Fault::Caller,
            Self::Name { .. } | Self::UnknownSchedule { .. } | Self::Open { .. } | Self::NoArchive => {
                Fault::Caller
            }
            Self::UnknownDefinition { .. } | Self::Damaged { .. } | Self::Contended { .. } => {
                Fault::Environment
            }
            Self::Archived { .. } | Self::NotArchivable { .. } | Self::ArchiveDiffers { .. } => {
                Fault::Environment
            }
            Self::Artifact(error) => error.fault(),
            Self::Refused(error) => error.fault(),
            Self::Gate(error) => error.fault(),
            Self::Append(error) => error.fault(),
            Self::Read(error) => error.fault(),
            Self::Decode(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::UnknownRun { .. } | Self::UnknownWorkflow { .. } | Self::RunExists { .. } => Retry::Never,
            Self::Input(_) | Self::InputTooLarge { .. } | Self::Id { .. } | Self::Replaced { .. } => {
                Retry::Never
            }
            Self::UnknownDefinition { .. } | Self::Damaged { .. } | Self::Archived { .. } => Retry::Never,
            Self::NotArchivable { .. } | Self::ArchiveDiffers { .. } => Retry::Never,
            Self::Name { .. } | Self::UnknownSchedule { .. } | Self::Open { .. } | Self::NoArchive => {
                Retry::Never
            }
            Self::ReservedRun { .. } => Retry::Never,
            Self::Artifact(error) => error.retry(),
            Self::Contended { .. } => Retry::Later,
            Self::Refused(error) => error.retry(),
            Self::Gate(error) => error.retry(),
            Self::Append(error) => error.retry(),
            Self::Read(error) => error.retry(),
            Self::Decode(error) => error.retry(),
        }
    }
}
