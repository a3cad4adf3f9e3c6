//! A member's way to the coordinator: asks until there is an answer, however often the connection is lost meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daa_compute::commitment::RunId;
use daa_core::clock::Clock;
use daa_core::fault::{Reaction, Retry};
use daa_core::id::AgentId;
use daa_net::rpc::{CallError, CallOptions, IdempotencyKey, Method, Status};
use daa_net::{Node, NodeId};

use super::wire::Of;
use crate::swarm::error::SwarmError;

/// How long one try may take.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long a coordinator that does not answer is asked again.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// Waits between tries: longer and longer.
#[derive(Debug)]
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) const fn new() -> Self {
        Self(Duration::from_millis(25))
    }

    pub(super) async fn pause(&mut self, clock: &dyn Clock) {
        clock.sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(2));
    }
}

/// The way to the coordinator. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) node: Node,
    pub(super) coordinator: NodeId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) run: RunId,
    pub(super) agent: AgentId,
}

impl Link {
    pub(super) fn of(&self) -> Option<Of> {
        let run = Bytes::copy_from_slice(self.run.0.as_bytes());
        Some(Of { run, agent: self.agent.to_string() })
    }

    /// Asks once.
    pub(super) async fn ask<M: Method>(
        &self,
        request: &M::Request,
        options: CallOptions,
    ) -> Result<M::Response, CallError> {
        self.node.ask::<M>(self.coordinator, request, options).await
    }

    /// Asks until there is an answer, under one key: it is worked on once. To a later call it is another request, and the protocol
    /// knows that it is a duplicate.
    pub(super) async fn insist<M: Method>(&self, request: &M::Request) -> Result<M::Response, SwarmError> {
        let (until, mut pauses) = (self.clock.now() + PATIENCE, Pauses::new());
        let mut key = IdempotencyKey::random();
        loop {
            let options = CallOptions::default().within(DEADLINE).once(key);
            let error = match self.ask::<M>(request, options).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if let Some(declined) = declined(&error) {
                return Err(declined);
            }
            // That it was not done in time, say, is all that would be answered under this key.
            if matches!(&error, CallError::Refused(refusal) if refusal.status != Status::Unavailable) {
                key = IdempotencyKey::random();
            }
            if self.clock.now() >= until {
                return Err(SwarmError::Unanswered(error));
            }
            tracing::debug!(%error, method = M::NAME, "the coordinator is asked again");
            pauses.pause(&*self.clock).await;
        }
    }
}

/// What an answer says that will not be another one; `None` where asking again may help.
pub(super) fn declined(error: &CallError) -> Option<SwarmError> {
    match error {
        // It may not answer yet: it has just begun.
        CallError::Refused(refusal) if refusal.status == Status::Unknown => None,
        CallError::Refused(refusal) if refusal.retry() == Retry::Never => {
            Some(SwarmError::Declined { reason: refusal.reason.clone() })
        }
        CallError::Garbage => Some(SwarmError::Declined { reason: error.to_string() }),
        _ => None,
    }
}
