//! Whom agents belong to.

use std::collections::BTreeMap;

use daa_core::digest::DigestBuilder;
use daa_core::id::AgentId;

/// The agents of each owner, as a ruleset declares them. Nobody has two owners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owners(BTreeMap<AgentId, String>);

impl Owners {
    /// Gives an agent to an owner; `false` where it has one already.
    pub(crate) fn add(&mut self, agent: AgentId, owner: &str) -> bool {
        self.0.insert(agent, owner.to_owned()).is_none()
    }

    /// Whom an agent belongs to.
    pub(crate) fn of(&self, agent: &AgentId) -> Option<&str> {
        self.0.get(agent).map(String::as_str)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn describe(&self, out: &mut DigestBuilder) {
        out.add(b"owner");
        out.add(&(self.0.len() as u64).to_le_bytes());
        for (agent, owner) in &self.0 {
            out.add(agent.as_str().as_bytes());
            out.add(owner.as_bytes());
        }
    }
}
