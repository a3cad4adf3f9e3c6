//! All event stores of a run: the house's, and where the agents are processes, each agent's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use daa::core::event::EventStore;
use daa::core::id::AgentId;
use daa::store::data_dir::DataDir;
use daa::swarm::{Proof, prove};

use crate::Failure;
use crate::processes::{Lives, Processes};

/// The stores of a run that has ended.
pub(crate) struct Books {
    house: Arc<dyn EventStore>,
    agents: Vec<DataDir>,
    /// The processes that the agents were; nothing where they were tasks.
    pub(crate) lives: BTreeMap<AgentId, Lives>,
    /// Holds what is on disk only as long as it is looked at.
    _processes: Option<Processes>,
}

impl Books {
    /// Where everything is in one store.
    pub(crate) fn one(house: Arc<dyn EventStore>) -> Self {
        Self { house, agents: Vec::new(), lives: BTreeMap::new(), _processes: None }
    }

    /// Opens those of agents that were processes. None of them may be at work.
    pub(crate) fn with_agents(
        house: Arc<dyn EventStore>,
        processes: Processes,
        agents: u32,
    ) -> Result<Self, Failure> {
        let (agents, lives) = (processes.books(agents)?, processes.roll());
        Ok(Self { house, agents, lives, _processes: Some(processes) })
    }

    /// All of them, the house's first.
    pub(crate) fn stores(&self) -> impl Iterator<Item = &dyn EventStore> {
        let agents = self.agents.iter().map(|data| &**data.events() as &dyn EventStore);
        std::iter::once(&*self.house).chain(agents)
    }

    /// Goes over every event of every store.
    pub(crate) async fn prove(&self) -> Result<Vec<Proof>, Failure> {
        let mut proofs = Vec::new();
        for store in self.stores() {
            proofs.push(prove(store).await?);
        }
        Ok(proofs)
    }

    pub(crate) async fn close(self) {
        for data in self.agents {
            data.close().await;
        }
        self.house.close().await;
    }
}
