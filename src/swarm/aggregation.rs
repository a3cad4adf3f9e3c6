//! Closing a round: from the members' updates to the next model.

use daa_compute::checkpoint::Checkpoint;
use daa_compute::commitment::Round;
use daa_compute::protocol::{Input, Refusal};
use daa_compute::worker::close_round;
use daa_core::digest::Digest;
use daa_core::id::AgentId;

use super::coordinator::Coordinator;
use super::error::SwarmError;

impl Coordinator {
    /// Aggregates a round and tells the protocol. A failure ends the run; it can be taken up again.
    pub(super) async fn aggregate(&self, round: Round, base: Digest, updates: Vec<(AgentId, Digest)>) {
        let mut held = self.inner().held.subscribe();
        // The sender lives as long as this coordinator.
        let _ = held.wait_for(|held| *held != Some(round)).await;
        match self.close(round, base, updates).await {
            // An aggregation that was performed twice, before and after a restart.
            Ok(()) | Err(SwarmError::Refused(Refusal::OutOfTurn | Refusal::WrongRound { .. })) => {}
            Err(error) => self.fail(error),
        }
    }

    async fn close(
        &self,
        round: Round,
        base: Digest,
        updates: Vec<(AgentId, Digest)>,
    ) -> Result<(), SwarmError> {
        let parts = &self.inner().parts;
        let artifacts = &*parts.artifacts;
        let view = self.view();
        let missing = SwarmError::Missing { what: "checkpoint of", digest: base };
        let own = *view.checkpoints.get(&base).ok_or(missing)?;
        let checkpoint = Checkpoint::load(artifacts, &own, parts.backend.layout()).await?;
        let mut received = Vec::with_capacity(updates.len());
        for (agent, digest) in updates {
            let missing = SwarmError::Missing { what: "update", digest };
            received.push((agent, artifacts.get(&digest).await?.ok_or(missing)?));
        }
        let config = parts.config;
        let work = tokio::task::spawn_blocking(move || {
            let (parameters, previous) = (&checkpoint.parameters, checkpoint.aggregate.as_deref());
            let (next, aggregate) = close_round(&config, parameters, &received, previous)?;
            let peers = aggregate.peers;
            Ok::<_, SwarmError>((checkpoint.after(own, round, next, aggregate.values), peers))
        });
        let panicked = |error: tokio::task::JoinError| SwarmError::Panicked { message: error.to_string() };
        let (next, peers) = work.await.map_err(panicked)??;
        let model = artifacts.put(next.parameters.encode().into()).await?;
        let checkpoint = next.store(artifacts).await?;
        self.take(Input::Aggregated { round, model, checkpoint, peers }).await
    }
}
