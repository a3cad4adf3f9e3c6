//! One member's side of a round.

use std::sync::Arc;

use bytes::Bytes;
use daa_core::digest::Digest;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::AgentId;
use daa_core::seed::Seed;

use crate::aggregate::{Aggregate, AggregateError, Contribution};
use crate::backend::{ComputeBackend, ComputeError};
use crate::codec::{Residual, SparseUpdate};
use crate::commitment::{Commitment, Round, batch_seed};
use crate::config::RunConfig;
use crate::parameters::Parameters;
use crate::wire::DecodeError;

/// Trains for one member of a run, on one shard.
#[derive(Clone, Debug)]
pub struct LocalWorker {
    backend: Arc<dyn ComputeBackend>,
    config: RunConfig,
    agent: AgentId,
    shard: Digest,
}

/// What a member has for a round: first it sends the commitment, then, when all are in, the bytes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Submission {
    /// To be signed and sent first.
    pub commitment: Commitment,
    /// The compressed update.
    pub bytes: Bytes,
    /// What the next round starts from, once this submission is accepted. Until then keep the old one: an update
    /// that was not accepted was not applied.
    pub residual: Residual,
    /// Mean training loss, in nats.
    pub loss: f64,
}

/// Why a member has nothing to send, or a peer's bytes were not applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// The local steps failed.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// Bytes or numbers that cannot be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The updates could not be aggregated.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
}

impl Reaction for WorkError {
    fn fault(&self) -> Fault {
        match self {
            Self::Compute(error) => error.fault(),
            Self::Decode(error) => error.fault(),
            Self::Aggregate(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Compute(error) => error.retry(),
            Self::Decode(error) => error.retry(),
            Self::Aggregate(error) => error.retry(),
        }
    }
}

impl LocalWorker {
    /// A worker for `agent`, whose `shard` the backend has loaded.
    #[must_use]
    pub fn new(backend: Arc<dyn ComputeBackend>, config: RunConfig, agent: AgentId, shard: Digest) -> Self {
        Self { backend, config, agent, shard }
    }

    /// Whose worker this is.
    #[must_use]
    pub const fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// Takes the local steps of a round and encodes what they changed.
    ///
    /// A pure function of run, agent, shard, base, residual and round.
    ///
    /// # Errors
    /// [`WorkError`].
    pub async fn round(
        &self,
        base: &Parameters,
        residual: &Residual,
        round: Round,
    ) -> Result<Submission, WorkError> {
        let inner = self.config.inner_at(round);
        let seed = Seed::from_digest(batch_seed(self.config.run_id(), round, &self.agent));
        let trained = self.backend.train(base, &self.shard, &inner, &seed).await?;
        let difference: Vec<f32> =
            base.values().iter().zip(trained.parameters.values()).map(|(base, local)| base - local).collect();
        self.submit(base, residual, round, &difference, trained.mean_loss)
    }

    /// Encodes any difference `base − local` as this member's submission: what [`LocalWorker::round`] does after
    /// training, for those who train in their own way, but on the path of this backend. A replay finds out that the local steps were others.
    ///
    /// # Errors
    /// [`WorkError::Decode`] for a difference of another length or that is not finite.
    pub fn submit(
        &self,
        base: &Parameters,
        residual: &Residual,
        round: Round,
        difference: &[f32],
        loss: f64,
    ) -> Result<Submission, WorkError> {
        let run = self.config.run_id();
        let encoded = residual.encode_round(difference, &self.config.codec)?;
        let commitment = Commitment {
            run,
            round,
            agent: self.agent.clone(),
            base: base.digest(),
            config: self.config.digest(),
            shard: self.shard,
            batch_seed: batch_seed(run, round, &self.agent),
            layout: base.layout().digest(),
            residual_before: residual.digest(),
            residual_after: encoded.residual.digest(),
            update: Digest::of(&encoded.bytes),
            examples: self.config.inner.examples(),
            path: self.backend.path(),
        };
        Ok(Submission { commitment, bytes: encoded.bytes, residual: encoded.residual, loss })
    }
}

/// Decodes the accepted updates of a round, aggregates them and takes the outer step: what every peer does, with
/// the same bits as a result.
///
/// `previous` is the last round's aggregate, if there was one.
///
/// # Errors
/// [`WorkError`]: in particular for bytes that do not decode, which an honest peer never sends and which therefore
/// must be refused before the round is closed.
pub fn close_round(
    config: &RunConfig,
    base: &Parameters,
    updates: &[(AgentId, Bytes)],
    previous: Option<&[f32]>,
) -> Result<(Parameters, Aggregate), WorkError> {
    let mut contributions = Vec::with_capacity(updates.len());
    for (agent, bytes) in updates {
        let update = SparseUpdate::decode(base.layout(), &config.codec, bytes)?.dense();
        contributions.push(Contribution { agent: agent.clone(), update });
    }
    let aggregate = config.aggregation.aggregate(base.layout(), contributions, previous)?;
    let next = config.outer_step(base, &aggregate.values)?;
    Ok((next, aggregate))
}
