//! What can go wrong in a swarm.

use std::sync::Arc;

use daa_compute::backend::ComputePath;
use daa_compute::checkpoint::CheckpointError;
use daa_compute::config::RunConfigError;
use daa_compute::protocol::{HistoryError, Refusal};
use daa_compute::replay::ReplayError;
use daa_compute::wire::DecodeError as WireError;
use daa_compute::worker::WorkError;
use daa_compute::{ComputeError, evidence::EvidenceError};
use daa_core::action::{ActionError, GateError};
use daa_core::agent::AgentError;
use daa_core::amount::AmountError;
use daa_core::artifact::ArtifactError;
use daa_core::digest::Digest;
use daa_core::event::{AppendError, DecodeError, ReadError};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::{AgentId, IdError};
use daa_economy::{LedgerError, MemoTooLong, NameError, Rejection};

/// Why a run does not go on, or an input was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwarmError {
    /// The protocol does not allow it.
    #[error("the run does not take it")]
    Refused(#[from] Refusal),
    /// The recorded history of the run does not fit together.
    #[error("the history of the run is damaged")]
    History(#[from] HistoryError),
    /// Somebody acts for somebody else, or does an audit that falls to another member.
    #[error("this is not for {agent} to do")]
    NotYours {
        /// Who tried.
        agent: AgentId,
    },
    /// An update that was computed in another way than audits are.
    #[error("the update was computed on {found}, audits run on {expected}")]
    OtherPath {
        /// What the commitment says.
        found: ComputePath,
        /// What audits run on.
        expected: ComputePath,
    },
    /// Evidence about something else than the audit that it was brought for.
    #[error("the evidence of {auditor} is about another commitment than the audit")]
    OtherEvidence {
        /// Who brought it.
        auditor: AgentId,
    },
    /// The coordinator does not take it, for a reason that will not change.
    #[error("the coordinator does not take it: {reason}")]
    Declined {
        /// What it says.
        reason: String,
    },
    /// What the coordinator shows is not the history of this run.
    #[error("the coordinator shows what cannot be of this run: {reason}")]
    WrongHistory {
        /// What is wrong with it.
        reason: String,
    },
    /// The run cannot be followed any more.
    #[error("the run cannot be followed any more")]
    Lost(#[source] Arc<Self>),
    /// The coordinator has not answered. What it was asked may have been done all the same.
    #[cfg(feature = "net")]
    #[error("the coordinator has not answered")]
    Unanswered(#[source] daa_net::rpc::CallError),
    /// What the run pays and charges does not fit together.
    #[error("the economics cannot be: {reason}")]
    Economics {
        /// What does not fit.
        reason: &'static str,
    },
    /// Other writers were faster every time.
    #[error("gave up after {tries} conflicting writes")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// An artefact that the run needs is not there.
    #[error("the {what} {digest} is not in the artefact store")]
    Missing {
        /// What it is.
        what: &'static str,
        /// Its address.
        digest: Digest,
    },
    /// A task of the swarm panicked.
    #[error("a task of the swarm panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// An agent made no progress, however often it tried.
    #[error("{agent} made no progress in {cycles} cycles: {last}")]
    Stuck {
        /// Who.
        agent: String,
        /// How many cycles it tried.
        cycles: u32,
        /// What went wrong last.
        last: String,
    },
    /// An evidence file that is none.
    #[error("this is no evidence file: {reason}")]
    EvidenceFile {
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration cannot be.
    #[error(transparent)]
    Config(#[from] RunConfigError),
    /// The books refuse it.
    #[error("the books refuse it")]
    Rejected(#[from] Rejection),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The gate did not let it through.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// An agent failed.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// An action that cannot be.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// The event store did not take it.
    #[error("the event store did not take the events")]
    Append(#[from] AppendError),
    /// The event store cannot be read.
    #[error("the event store cannot be read")]
    Read(#[from] ReadError),
    /// A recorded event does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The artefact store failed.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// A checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Bytes that a peer sent do not decode.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Training or aggregation failed.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// The device failed.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// A replay failed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// Evidence cannot be rechecked.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// An id that cannot be.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A name that cannot be.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A memo that is too long.
    #[error(transparent)]
    Memo(#[from] MemoTooLong),
    /// An amount that cannot be.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

/// Passes a question on to the error underneath.
macro_rules! underneath {
    ($error:expr, $question:ident, $default:expr) => {
        match $error {
            SwarmError::Refused(error) => error.$question(),
            SwarmError::History(error) => error.$question(),
            SwarmError::Config(error) => error.$question(),
            SwarmError::Rejected(error) => error.$question(),
            SwarmError::Ledger(error) => error.$question(),
            SwarmError::Gate(error) => error.$question(),
            SwarmError::Agent(error) => error.$question(),
            SwarmError::Action(error) => error.$question(),
            SwarmError::Append(error) => error.$question(),
            SwarmError::Read(error) => error.$question(),
            SwarmError::Decode(error) => error.$question(),
            SwarmError::Artifacts(error) => error.$question(),
            SwarmError::Checkpoint(error) => error.$question(),
            SwarmError::Wire(error) => error.$question(),
            SwarmError::Work(error) => error.$question(),
            SwarmError::Compute(error) => error.$question(),
            SwarmError::Replay(error) => error.$question(),
            SwarmError::Evidence(error) => error.$question(),
            SwarmError::Id(error) => error.$question(),
            SwarmError::Name(error) => error.$question(),
            SwarmError::Memo(error) => error.$question(),
            SwarmError::Amount(error) => error.$question(),
            _ => $default,
        }
    };
}

impl Reaction for SwarmError {
    fn fault(&self) -> Fault {
        let own = match self {
            Self::Panicked { .. } => Fault::Bug,
            Self::EvidenceFile { .. }
            | Self::NotYours { .. }
            | Self::OtherPath { .. }
            | Self::OtherEvidence { .. }
            | Self::Declined { .. }
            | Self::WrongHistory { .. } => Fault::Peer,
            Self::Lost(error) => error.fault(),
            Self::Economics { .. } => Fault::Caller,
            _ => Fault::Environment,
        };
        underneath!(self, fault, own)
    }

    fn retry(&self) -> Retry {
        let own = match self {
            Self::Contended { .. } => Retry::Later,
            #[cfg(feature = "net")]
            Self::Unanswered(_) => Retry::Later,
            _ => Retry::Never,
        };
        underneath!(self, retry, own)
    }
}
