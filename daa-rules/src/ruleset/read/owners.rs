//! The table `[owner]`: whom agents belong to.

use std::sync::Arc;

use daa_core::id::AgentId;

use super::{Reader, limited};
use crate::document::{Entry, Misfit};
use crate::limits::Limits;
use crate::owners::Owners;
use crate::problem::Problem;

impl Reader<'_> {
    /// Reads who owns which agents, such as `acme = ["alice", "bob"]`.
    pub(super) fn owners(&mut self, entries: &[Entry]) -> Arc<Owners> {
        let tables = self.value(entries, "owner", |node| node.table("owner")).unwrap_or_default();
        let mut owners = Owners::default();
        for entry in tables {
            let agents = entry.value.list(&entry.key, "a list of agents");
            for node in self.take(agents).unwrap_or_default() {
                if owners.len() >= Limits::OWNED {
                    let problem = Problem::Limit { what: "agents with an owner", limit: Limits::OWNED };
                    self.note(Misfit { offset: node.start, problem });
                    return Arc::new(owners);
                }
                let agent = node.text("an agent").and_then(|name| {
                    limited(node, &entry.key, "bytes in the name of an owner", 200)?;
                    AgentId::new(name)
                        .map_err(|error| Misfit { offset: node.start, problem: Problem::Agent(error) })
                });
                let Some(agent) = self.take(agent) else { continue };
                let name = agent.to_string();
                if !owners.add(agent, &entry.key) {
                    self.note(Misfit { offset: node.start, problem: Problem::Owned { agent: name } });
                }
            }
        }
        Arc::new(owners)
    }
}
