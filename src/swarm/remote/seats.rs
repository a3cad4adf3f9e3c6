//! Which node an agent of a run is. Settled when it first joins, for as long as the run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use daa_core::clock::Clock;
use daa_core::event::{AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Version};
use daa_core::id::{AgentId, EventKind, StreamId};
use daa_net::NodeId;
use serde::{Deserialize, Serialize};

use crate::swarm::error::SwarmError;

/// The kind of the event that says which node an agent of a run is: `bound/RUN/AGENT` has one.
pub const BOUND_KIND: &str = "run.bound.v1";

#[derive(Debug, Serialize, Deserialize)]
struct Bound {
    node: String,
}

/// The seats of a run.
#[derive(Debug)]
pub(super) struct Seats {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    /// The name of the run.
    run: String,
    known: Mutex<BTreeMap<AgentId, NodeId>>,
}

impl Seats {
    pub(super) fn new(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>, run: String) -> Self {
        Self { store, clock, run, known: Mutex::default() }
    }

    fn stream(&self, agent: &AgentId) -> Result<StreamId, SwarmError> {
        Ok(StreamId::new(format!("bound/{}/{agent}", self.run))?)
    }

    /// The node that an agent is, if it has one.
    pub(super) async fn of(&self, agent: &AgentId) -> Result<Option<NodeId>, SwarmError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(agent).copied();
        if known.is_some() {
            return Ok(known);
        }
        let page = self.store.read_stream(&self.stream(agent)?, Version::EMPTY, PageSize::new(1)).await?;
        let Some(recorded) = page.first() else { return Ok(None) };
        let wrong = |what: String| SwarmError::WrongHistory { reason: format!("{what} is no node") };
        let bound: Bound = recorded.json()?;
        let node = bound.node.parse().map_err(|_| wrong(bound.node))?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(agent.clone(), node);
        Ok(Some(node))
    }

    /// Settles that an agent is a node, unless it is settled, and gives the node that it is.
    pub(super) async fn take(&self, agent: &AgentId, node: NodeId) -> Result<NodeId, SwarmError> {
        let event =
            NewEvent::json(EventKind::new(BOUND_KIND)?, self.clock.now(), &Bound { node: node.to_string() })?;
        let batch = Batch::new().with_event(self.stream(agent)?, ExpectedVersion::NO_STREAM, event);
        match self.store.append(batch).await {
            Ok(_) | Err(AppendError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let missing = || SwarmError::WrongHistory { reason: format!("{agent} has no node") };
        self.of(agent).await?.ok_or_else(missing)
    }
}
