//! What is made to happen in a run: who dies, who turns hostile, who comes late.

use std::sync::Arc;

use async_trait::async_trait;
use daa::compute::codec::{CodecConfig, Residual, SparseUpdate};
use daa::compute::commitment::Round;
use daa::compute::worker::Submission;
use daa::compute::{BurnBackend, ComputeBackend, LocalWorker, Parameters};
use daa::core::digest::Digest;
use daa::core::id::AgentId;
use daa::swarm::{LocalTrainer, SwarmError, Trainer};
use tokio::sync::{Semaphore, mpsc};

use crate::Failure;
use crate::args::Args;
use crate::problem::Problem;

/// How many times an attacker overdoes the opposite of what it has learned.
pub(crate) const AMPLIFICATION: f32 = 100.0;

/// Who does what, and when. Rounds count from zero.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) agents: u32,
    pub(crate) dies: Option<(u32, Round)>,
    pub(crate) hostile: Vec<u32>,
    /// The first round in which the hostile ones attack.
    pub(crate) attack: Round,
    /// The agent that comes late, and the first round that it takes part in.
    pub(crate) late: Option<(u32, Round)>,
}

impl Script {
    pub(crate) fn new(args: &Args) -> Self {
        let rounds = u32::try_from(args.rounds()).unwrap_or(u32::MAX);
        let round = |number: u64| Round(u32::try_from(number).unwrap_or(u32::MAX).saturating_sub(1));
        Self {
            agents: args.agents,
            dies: args.kill().map(|(agent, number)| (agent, round(number))),
            hostile: args.hostile(),
            attack: Round(rounds / 3),
            late: (rounds >= 3).then_some((args.agents + 1, Round(rounds * 2 / 3))),
        }
    }
}

pub(crate) fn agent_id(number: u32) -> Result<AgentId, SwarmError> {
    Ok(AgentId::new(format!("agent-{number}"))?)
}

/// What an agent trains with, what it audits with, and its shard.
pub(crate) type Tools = (Arc<dyn Trainer>, Arc<dyn ComputeBackend>, Digest);

/// What an agent works with: its trainer, as the script has it, a backend for audits, and the digest of its shard.
pub(crate) fn trainer(
    script: &Script,
    problem: &Problem,
    number: u32,
    seats: &Arc<Semaphore>,
    died: mpsc::Sender<AgentId>,
) -> Result<Tools, Failure> {
    let (id, config) = (agent_id(number)?, problem.config);
    let shard = problem.shards.get(number as usize - 1).ok_or("there is no shard for this agent")?;
    let backend = BurnBackend::flex(config.model)?;
    let shard = backend.load_shard_blocking(shard)?;
    let worker = LocalWorker::new(Arc::new(backend), config, id.clone(), shard);
    let honest = LocalTrainer::new(worker, seats.clone());
    let mut trainer: Arc<dyn Trainer> = if script.hostile.contains(&number) {
        Arc::new(TurnsHostile { honest, codec: config.codec, from: script.attack })
    } else {
        Arc::new(honest)
    };
    if let Some((_, round)) = script.dies.filter(|(dies, _)| *dies == number) {
        trainer = Arc::new(DiesAt { inner: trainer, round, died, agent: id });
    }
    Ok((trainer, Arc::new(BurnBackend::flex(config.model)?), shard))
}

/// Trains honestly up to a round, and from then on commits to the amplified opposite of what it has learned.
#[derive(Debug)]
pub(crate) struct TurnsHostile {
    pub(crate) honest: LocalTrainer,
    pub(crate) codec: CodecConfig,
    pub(crate) from: Round,
}

#[async_trait]
impl Trainer for TurnsHostile {
    async fn train(
        &self,
        base: Parameters,
        residual: Residual,
        round: Round,
    ) -> Result<Submission, SwarmError> {
        let worker = self.honest.worker();
        if round < self.from {
            return self.honest.train(base, residual, round).await;
        }
        // Trained from a zero residual, so that what is sent can be read back as what was learned.
        let fresh = Residual::zero(base.layout().clone());
        let learned = self.honest.train(base.clone(), fresh, round).await?;
        poisoned(worker, &self.codec, &base, &residual, round, &learned)
    }
}

/// A submission that pulls the model away from what was learned, as hard as it can.
pub(crate) fn poisoned(
    worker: &LocalWorker,
    codec: &CodecConfig,
    base: &Parameters,
    residual: &Residual,
    round: Round,
    learned: &Submission,
) -> Result<Submission, SwarmError> {
    let update = SparseUpdate::decode(base.layout(), codec, &learned.bytes)?;
    let kept = learned.residual.values();
    let opposite: Vec<f32> =
        update.dense().iter().zip(kept).map(|(sent, kept)| -AMPLIFICATION * (sent + kept)).collect();
    Ok(worker.submit(base, residual, round, &opposite, learned.loss)?)
}

/// Trains like `inner` until a round, in the middle of which it is never heard of again.
#[derive(Debug)]
pub(crate) struct DiesAt {
    pub(crate) inner: Arc<dyn Trainer>,
    pub(crate) round: Round,
    pub(crate) died: mpsc::Sender<AgentId>,
    pub(crate) agent: AgentId,
}

#[async_trait]
impl Trainer for DiesAt {
    async fn train(
        &self,
        base: Parameters,
        residual: Residual,
        round: Round,
    ) -> Result<Submission, SwarmError> {
        let submission = self.inner.train(base, residual, round).await?;
        if round != self.round {
            return Ok(submission);
        }
        // The work is done, and nobody will ever know: the supervisor pulls the plug here.
        if self.died.send(self.agent.clone()).await.is_err() {
            return Ok(submission);
        }
        std::future::pending().await
    }
}
