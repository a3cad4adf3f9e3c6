//! Why steps and runs fail, in a form that outlives the process.

use serde::{Deserialize, Serialize};

use super::event::Task;
use crate::action::Refusal;
use crate::clock::Timestamp;
use crate::id::{ActionId, AgentId, RuleId};

/// Why a try of a step failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepError {
    /// The executor failed, without effect.
    #[error("{0}")]
    Executor(String),
    /// The executor failed, and nobody can say whether it had an effect.
    #[error("it may or may not have taken effect: {0}")]
    Uncertain(String),
    /// The rules deny it.
    #[error("denied: {reason}")]
    Denied {
        /// Why, for people.
        reason: String,
        /// The rules that matched.
        rules: Vec<RuleId>,
    },
    /// The rules want somebody else to decide, and nobody can be asked.
    #[error("escalated: {reason}")]
    Escalated {
        /// Why, for people.
        reason: String,
    },
    /// Funds or budget do not cover it.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// It is out of bounds.
    #[error("{0}")]
    OutOfBounds(String),
    /// Its id was used for another action before; nothing was done.
    #[error("action id {id} was used for another action")]
    IdUsed {
        /// The id.
        id: ActionId,
    },
    /// It took effect, and its output is too large to be kept.
    #[error("it took effect, but its output cannot be kept: {0}")]
    OutputOutOfBounds(String),
    /// A value is not of the type that the definition promises.
    #[error("{0}")]
    Mismatch(String),
    /// A step over a list was given something else.
    #[error("the items of the step are not a list")]
    NoList,
    /// A list has too many items.
    #[error("the step has {items} items, at most {limit} are allowed")]
    TooManyItems {
        /// How many it has.
        items: u64,
        /// How many are allowed.
        limit: u32,
    },
    /// A loop did not come to its end.
    #[error("the loop did not end after {times} times")]
    Endless {
        /// How often it was done.
        times: u32,
    },
    /// The step took too long.
    #[error("the deadline of the step passed at {deadline:?}")]
    Deadline {
        /// When it should have ended.
        deadline: Timestamp,
    },
    /// The request for approval was turned down.
    #[error("{by} turned it down: {comment}")]
    TurnedDown {
        /// By whom.
        by: AgentId,
        /// Why, for people.
        comment: String,
    },
    /// Nobody answered the request for approval in time.
    #[error("nobody approved it in time")]
    NotApproved,
    /// The run that it waited for did not complete.
    #[error("the other run failed: {0}")]
    Child(String),
    /// No workflow of this name is registered.
    #[error("no workflow {0} is registered")]
    NoWorkflow(String),
}

/// Why a run does not complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureCause {
    /// A step failed.
    #[error("step {task} failed: {error}")]
    Step {
        /// The step.
        task: Task,
        /// Why.
        error: StepError,
    },
    /// The run took too long.
    #[error("the deadline of the run passed at {deadline:?}")]
    Deadline {
        /// When it should have ended.
        deadline: Timestamp,
    },
    /// Somebody cancelled it.
    #[error("{by} cancelled it: {reason}")]
    Cancelled {
        /// Who.
        by: AgentId,
        /// Why, for people.
        reason: String,
    },
    /// The output is not what the definition promises.
    #[error("the output of the run: {0}")]
    Output(String),
}
