//! Why an agent cannot be built or a cycle cannot be recorded.

use crate::action::GateError;
use crate::event::{AppendError, DecodeError, ReadError};
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{AgentId, IdError};
use crate::workflow::WorkflowError;

/// Why an agent cannot be built, or a cycle did not come to its end. What fails within a cycle is in its report
/// instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The agent's id is too long to make stream names and action ids of it.
    #[error("the id of an agent has at most 120 bytes, {agent} has {}", agent.as_str().len())]
    IdTooLong {
        /// The id.
        agent: AgentId,
    },
    /// The name of a stream cannot be made of the agent's id.
    #[error("the agent's stream has no valid name")]
    Id(#[from] IdError),
    /// Two parts of the agent have the same name.
    #[error("two {what} are called {name}")]
    Duplicate {
        /// What they are.
        what: &'static str,
        /// Their name.
        name: String,
    },
    /// More parts than an agent can have.
    #[error("{actual} {what}, at most {limit} are allowed")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many.
        actual: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// Another instance of the agent was started on the same stream and took over; this one must stop.
    #[error("another instance of agent {agent} has taken over (start {theirs}, this one is start {ours})")]
    SecondInstance {
        /// The agent.
        agent: AgentId,
        /// The start of this instance, counted from 1.
        ours: u64,
        /// The start of the one that took over.
        theirs: u64,
    },
    /// Somebody else writes to the agent's stream all the time.
    #[error("gave up after {tries} conflicting writes to the stream of agent {agent}")]
    Contended {
        /// The agent.
        agent: AgentId,
        /// How often it was tried.
        tries: u32,
    },
    /// The store did not take the events of the cycle. The next cycle goes on from what is durable.
    #[error("the cycle cannot be recorded")]
    Append(#[from] AppendError),
    /// The agent's stream cannot be read.
    #[error("the agent's stream cannot be read")]
    Read(#[from] ReadError),
    /// An event in the agent's stream does not decode.
    #[error("the agent's stream is damaged")]
    Journal(#[from] DecodeError),
    /// The gate could not record what it did. The next cycle goes on from what is durable.
    #[error("an action cannot be recorded")]
    Gate(#[source] GateError),
    /// The run that performs the plan cannot be read, or not be brought further.
    #[error("the plan cannot be performed")]
    Act(#[source] Box<WorkflowError>),
    /// The cycle came to a halt by itself.
    #[error("the cycle has nothing more to do, but is not complete")]
    Stalled,
}

impl Reaction for AgentError {
    fn fault(&self) -> Fault {
        match self {
            Self::IdTooLong { .. } | Self::Id(_) | Self::Duplicate { .. } | Self::TooMany { .. } => {
                Fault::Caller
            }
            Self::SecondInstance { .. } | Self::Contended { .. } => Fault::Caller,
            Self::Append(error) => error.fault(),
            Self::Read(error) => error.fault(),
            Self::Journal(error) => error.fault(),
            Self::Gate(error) => error.fault(),
            Self::Act(error) => error.fault(),
            Self::Stalled => Fault::Bug,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::IdTooLong { .. } | Self::Id(_) | Self::Duplicate { .. } | Self::TooMany { .. } => {
                Retry::Never
            }
            Self::SecondInstance { .. } | Self::Stalled => Retry::Never,
            Self::Contended { .. } => Retry::Later,
            Self::Append(error) => error.retry(),
            Self::Read(error) => error.retry(),
            Self::Journal(error) => error.retry(),
            Self::Gate(error) => error.retry(),
            Self::Act(error) => error.retry(),
        }
    }
}
