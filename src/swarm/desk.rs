//! What one member works with.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use daa_compute::checkpoint::Checkpoint;
use daa_compute::codec::Residual;
use daa_compute::commitment::{Commitment, Round};
use daa_compute::replay::{Audit, Exhibits, ReplayError, audit};
use daa_compute::worker::{LocalWorker, Submission};
use daa_compute::{ComputeBackend, Parameters};
use daa_core::action::Gate;
use daa_core::digest::Digest;
use daa_core::fault::{Fault, Reaction};
use daa_core::id::{ActionId, AgentId, IdError};
use tokio::sync::Semaphore;

use super::access::RunAccess;
use super::error::SwarmError;
use super::view::Duty;

/// Makes a member's update of a round. [`LocalTrainer`] is the honest one.
#[async_trait]
pub trait Trainer: Send + Sync + fmt::Debug {
    /// Trains from `base`.
    ///
    /// # Errors
    /// [`SwarmError`] when there is no update.
    ///
    /// # Cancel safety
    /// Dropping the future must leave nothing behind.
    async fn train(
        &self,
        base: Parameters,
        residual: Residual,
        round: Round,
    ) -> Result<Submission, SwarmError>;
}

/// Trains on this machine, on a thread of its own.
#[derive(Clone, Debug)]
pub struct LocalTrainer {
    worker: LocalWorker,
    seats: Arc<Semaphore>,
}

impl LocalTrainer {
    /// Trains with `worker`. `seats` bounds how many trainers of this machine compute at a time.
    #[must_use]
    pub const fn new(worker: LocalWorker, seats: Arc<Semaphore>) -> Self {
        Self { worker, seats }
    }

    /// What trains.
    #[must_use]
    pub const fn worker(&self) -> &LocalWorker {
        &self.worker
    }
}

#[async_trait]
impl Trainer for LocalTrainer {
    async fn train(
        &self,
        base: Parameters,
        residual: Residual,
        round: Round,
    ) -> Result<Submission, SwarmError> {
        let worker = self.worker.clone();
        let work = async move { worker.round(&base, &residual, round).await };
        Ok(on_a_thread(&self.seats, work).await??)
    }
}

/// Runs computation where it does not keep others from running.
async fn on_a_thread<T: Send + 'static>(
    seats: &Arc<Semaphore>,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, SwarmError> {
    let panicked = |message: String| SwarmError::Panicked { message };
    let seat = seats.clone().acquire_owned().await.map_err(|error| panicked(error.to_string()))?;
    let runtime = tokio::runtime::Handle::current();
    let done = tokio::task::spawn_blocking(move || {
        let done = runtime.block_on(work);
        drop(seat);
        done
    });
    done.await.map_err(|error| panicked(error.to_string()))
}

/// One member's access to the run, its trainer, and its auditor.
#[derive(Clone, Debug)]
pub struct Desk {
    agent: AgentId,
    shard: Digest,
    coordinator: Arc<dyn RunAccess>,
    gate: Gate,
    trainer: Arc<dyn Trainer>,
    auditor: Arc<dyn ComputeBackend>,
    seats: Arc<Semaphore>,
}

impl Desk {
    /// A desk for `agent`, whose shard of that digest must be in the artefact store. `auditor` must be a backend of
    /// its own: an audit loads and unloads other members' shards.
    #[must_use]
    pub fn new(
        agent: AgentId,
        shard: Digest,
        coordinator: Arc<dyn RunAccess>,
        gate: Gate,
        trainer: Arc<dyn Trainer>,
        auditor: Arc<dyn ComputeBackend>,
        seats: Arc<Semaphore>,
    ) -> Self {
        Self { agent, shard, coordinator, gate, trainer, auditor, seats }
    }

    /// Whose desk it is.
    #[must_use]
    pub const fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// The run.
    #[must_use]
    pub fn coordinator(&self) -> &dyn RunAccess {
        &*self.coordinator
    }

    /// The gate.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The shard that the member trains on.
    #[must_use]
    pub const fn shard(&self) -> Digest {
        self.shard
    }

    /// What the member has to do next.
    #[must_use]
    pub fn duty(&self) -> Duty {
        self.coordinator.view().duty(&self.agent)
    }

    /// The id of an action of this member: one for each kind and subject, so that doing it twice is impossible.
    pub(super) fn action_id(&self, kind: &str, subject: &str) -> Result<ActionId, IdError> {
        let run: String = self.coordinator.stream().as_str().chars().skip(4).take(8).collect();
        ActionId::new(format!("{run}/{kind}/{}/{subject}", self.agent))
    }

    /// Trains, and makes what came of it durable: the update and the residual it leaves.
    pub(super) async fn train(&self, round: Round) -> Result<Submission, SwarmError> {
        let view = self.coordinator.view();
        let artifacts = self.coordinator.artifacts();
        let layout = self.auditor.layout();
        let (model, checkpoint) = view.latest.unwrap_or((self.shard, self.shard));
        let base = Checkpoint::load(&**artifacts, &checkpoint, layout).await?.parameters;
        if base.digest() != model {
            return Err(SwarmError::Missing { what: "model", digest: model });
        }
        let residual = match view.members.get(&self.agent).and_then(|member| member.residual) {
            None => Residual::zero(layout.clone()),
            Some(digest) => {
                let missing = SwarmError::Missing { what: "residual", digest };
                Residual::decode(layout, &artifacts.get(&digest).await?.ok_or(missing)?)?
            }
        };
        let submission = self.trainer.train(base, residual, round).await?;
        artifacts.put(submission.bytes.clone()).await?;
        artifacts.put(submission.residual.encode().into()).await?;
        Ok(submission)
    }

    /// Recomputes somebody's submission; `None` when what it needs was not handed over, or is not usable.
    pub(super) async fn audit(&self, commitment: &Commitment) -> Result<Option<Audit>, SwarmError> {
        let artifacts = self.coordinator.artifacts();
        let exhibits = match Exhibits::fetch(&**artifacts, commitment).await {
            Ok(exhibits) => exhibits,
            Err(ReplayError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (backend, config) = (self.auditor.clone(), *self.coordinator.config());
        let commitment = commitment.clone();
        let work = async move { audit(&*backend, &config, &commitment, &exhibits).await };
        match on_a_thread(&self.seats, work).await? {
            Ok(audit) => Ok(Some(audit)),
            // What was handed over is not what was committed to, or makes no sense.
            Err(error) if error.fault() == Fault::Peer => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
