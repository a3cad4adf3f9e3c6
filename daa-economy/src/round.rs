//! Rounds, and the ids that are made of them.

use std::fmt;

use daa_core::id::{AgentId, IdError, TransferId};

use crate::name::RunId;

/// One round of a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Round {
    /// The run.
    pub run: RunId,
    /// The number of the round.
    pub number: u64,
}

impl Round {
    /// A round.
    #[must_use]
    pub const fn new(run: RunId, number: u64) -> Self {
        Self { run, number }
    }

    /// `PREFIX/RUN/NUMBER/AGENT`. Neither prefix, run nor number has a slash, so no two rounds and agents share
    /// an id.
    pub(crate) fn id(&self, prefix: &str, agent: &AgentId) -> Result<TransferId, IdError> {
        TransferId::new(format!("{prefix}/{}/{}/{agent}", self.run, self.number))
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.run, self.number)
    }
}
