//! Why the gate did not let an action through.

use super::executor::ExecuteError;
use super::memory::PolicyError;
use super::policy::{Decision, Verdict};
use super::request::ActionError;
use super::treasury::{Refusal, TreasuryError};
use crate::digest::Digest;
use crate::event::{AppendError, DecodeError, ReadError};
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{ActionId, RuleId};

/// Why the gate did not let an action through, or could not bring it to a good end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The rules deny it; nothing happened.
    #[error("denied: {reason}")]
    Denied {
        /// Why, for people.
        reason: String,
        /// The rules that matched.
        rules: Vec<RuleId>,
    },
    /// The rules want somebody else to decide; nothing happened.
    #[error("escalated: {}", .0.reason)]
    Escalated(Box<Escalation>),
    /// Funds or budget do not cover it; nothing happened.
    #[error("refused")]
    Refused(#[from] Refusal),
    /// It is out of bounds; nothing happened, unless it is the output that is.
    #[error("invalid action")]
    Invalid(#[from] ActionError),
    /// The id was used for another action, or was asked for before; nothing happened here.
    #[error("action id {id} was used before")]
    IdUsed {
        /// The id.
        id: ActionId,
    },
    /// Another call performs the action; nothing happened here.
    #[error("action {id} is being performed by another call")]
    InProgress {
        /// The action.
        id: ActionId,
    },
    /// The permit was not used in time; nothing happened.
    #[error("the permit for {id} has expired")]
    Expired {
        /// The action.
        id: ActionId,
    },
    /// There is no such action.
    #[error("no action {id} was ever asked for")]
    Unknown {
        /// The id that was asked for.
        id: ActionId,
    },
    /// The executor failed and nothing took effect.
    #[error("the action failed")]
    Failed(#[source] ExecuteError),
    /// The executor failed at an earlier call with this id and nothing took effect.
    #[error("the action failed before: {error}")]
    FailedBefore {
        /// Why, for people.
        error: String,
    },
    /// The executor failed, and it may have taken effect.
    #[error("the action may or may not have taken effect")]
    Uncertain(#[source] ExecuteError),
    /// An earlier call was interrupted, and the executor cannot tell what became of it.
    #[error("what became of {id} is not known")]
    Unresolved {
        /// The action.
        id: ActionId,
    },
    /// Other writers were faster every time.
    #[error("gave up after {tries} conflicting writes")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// The store did not take the events.
    #[error("the event store did not accept the decision or the outcome")]
    Append(#[from] AppendError),
    /// The store cannot be read.
    #[error("the event store cannot be read")]
    Read(#[from] ReadError),
    /// The books cannot be read.
    #[error("the treasury is not available")]
    Treasury(#[from] TreasuryError),
    /// What the rules remember cannot be read.
    #[error("the rules cannot decide")]
    Policy(#[from] PolicyError),
    /// An event of the action does not decode.
    #[error("the journal of the action is damaged")]
    Journal(#[from] DecodeError),
}

/// What somebody else has to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Escalation {
    /// Why, for people.
    pub reason: String,
    /// The rules that matched.
    pub rules: Vec<RuleId>,
    /// The digest of the action: an approval must be of this.
    pub subject: Digest,
    /// The content hash of the rules that decided: an approval must be of these.
    pub ruleset: Digest,
}

impl GateError {
    pub(crate) fn withheld(subject: Digest, verdict: Verdict) -> Self {
        let Verdict { decision, ruleset, rules, .. } = verdict;
        match decision {
            Decision::Escalate { reason } => {
                Self::Escalated(Box::new(Escalation { reason, rules, subject, ruleset }))
            }
            Decision::Deny { reason } => Self::Denied { reason, rules },
            Decision::Permit => Self::Denied { reason: "withheld without a reason".to_owned(), rules },
        }
    }
}

impl Reaction for GateError {
    fn fault(&self) -> Fault {
        match self {
            Self::Denied { .. } | Self::Escalated(_) | Self::Expired { .. } | Self::IdUsed { .. } => {
                Fault::Caller
            }
            Self::Unknown { .. } | Self::FailedBefore { .. } => Fault::Caller,
            Self::Refused(refusal) => refusal.fault(),
            Self::Invalid(error) => error.fault(),
            Self::Failed(error) | Self::Uncertain(error) => error.fault(),
            Self::Unresolved { .. } | Self::InProgress { .. } | Self::Contended { .. } => Fault::Environment,
            Self::Append(error) => error.fault(),
            Self::Read(error) => error.fault(),
            Self::Treasury(error) => error.fault(),
            Self::Policy(error) => error.fault(),
            Self::Journal(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Denied { .. } | Self::Escalated(_) | Self::Expired { .. } | Self::IdUsed { .. } => {
                Retry::Never
            }
            Self::Unknown { .. } | Self::FailedBefore { .. } => Retry::Never,
            // A refusal is recorded: the same id stays refused, a new one may not be.
            Self::Refused(_) | Self::Invalid(_) | Self::Failed(_) => Retry::Never,
            Self::Uncertain(_) | Self::Unresolved { .. } | Self::InProgress { .. } => Retry::Later,
            Self::Contended { .. } => Retry::Later,
            Self::Append(error) => error.retry(),
            Self::Read(error) => error.retry(),
            Self::Treasury(error) => error.retry(),
            Self::Policy(error) => error.retry(),
            Self::Journal(error) => error.retry(),
        }
    }
}
