//! What the swarm is compared with: one model that has all the data, and a swarm that averages without defence.

use std::sync::Arc;

use daa::compute::aggregate::Aggregation;
use daa::compute::codec::Residual;
use daa::compute::commitment::Round;
use daa::compute::config::RunConfig;
use daa::compute::dataset::Shard;
use daa::compute::inner::InnerConfig;
use daa::compute::model::ModelSpec;
use daa::compute::worker::close_round;
use daa::compute::{BurnBackend, LocalWorker, Parameters};
use daa::core::digest::Digest;
use daa::swarm::SwarmError;

use crate::script::{Script, agent_id, poisoned};

/// Scores parameters on the held-out part: right answers, or bits per byte.
pub(crate) fn score(
    config: &RunConfig,
    backend: &BurnBackend,
    model: &Parameters,
    held_out: &Digest,
) -> Result<f64, SwarmError> {
    let evaluation = backend.evaluate_blocking(model, held_out)?;
    let digits = matches!(config.model, ModelSpec::Digits(_));
    Ok(if digits { evaluation.accuracy } else { evaluation.bits() })
}

/// One model, all the data, as many steps, and the batches of all agents at once.
pub(crate) fn baseline(
    config: &RunConfig,
    agents: u32,
    whole: &Shard,
    held_out: &Shard,
) -> Result<f64, SwarmError> {
    let backend = BurnBackend::flex(config.model)?;
    let (whole, held_out) = (backend.load_shard_blocking(whole)?, backend.load_shard_blocking(held_out)?);
    let mut model = config.initial()?;
    for round in (0..config.rounds).map(Round) {
        let inner = config.inner_at(round);
        let batch = inner.batch * agents;
        let inner = InnerConfig { batch, micro_batches: inner.micro_batches * agents, ..inner };
        let seed = config.root().child("baseline").nth(u64::from(round.0));
        model = backend.train_blocking(&model, &whole, &inner, &seed)?.parameters;
    }
    score(config, &backend, &model, &held_out)
}

/// The same swarm, the same script, the plain average: the score after each round. It ends early when the model is
/// beyond training.
pub(crate) fn undefended(
    config: &RunConfig,
    script: &Script,
    shards: &[Shard],
    held_out: &Shard,
) -> Result<Vec<(u64, f64)>, SwarmError> {
    let config = RunConfig { aggregation: Aggregation::Mean, ..*config };
    let backend = BurnBackend::flex(config.model)?;
    let held_out = backend.load_shard_blocking(held_out)?;
    let mut members = Vec::new();
    for (number, shard) in (1..).zip(shards) {
        let shard = backend.load_shard_blocking(shard)?;
        let worker = LocalWorker::new(Arc::new(backend.clone()), config, agent_id(number)?, shard);
        members.push((number, worker, Residual::zero(config.initial()?.layout().clone())));
    }
    let mut base = config.initial()?;
    let (mut previous, mut scores) = (None, Vec::new());
    for round in (0..config.rounds).map(Round) {
        let mut updates = Vec::new();
        for (number, worker, residual) in &mut members {
            let attacks = script.hostile.contains(number) && round >= script.attack;
            // An audit finds the forgery, but some rounds have taken it in by then.
            let ejected = attacks && round.0 > script.attack.0 + config.protocol.audit_lag;
            let dead = script.dies.is_some_and(|(dies, at)| dies == *number && round >= at);
            let absent = script.late.is_some_and(|(late, from)| late == *number && round < from)
                || (script.late.is_none() && *number > script.agents);
            if ejected || dead || absent {
                continue;
            }
            let start = if attacks { Residual::zero(base.layout().clone()) } else { residual.clone() };
            let Ok(mut submission) = block_on(worker.round(&base, &start, round)) else { return Ok(scores) };
            if attacks {
                submission = poisoned(worker, &config.codec, &base, residual, round, &submission)?;
            }
            *residual = submission.residual;
            updates.push((worker.agent().clone(), submission.bytes));
        }
        let (next, aggregate) = close_round(&config, &base, &updates, previous.as_deref())?;
        (base, previous) = (next, Some(aggregate.values));
        scores.push((u64::from(round.0) + 1, score(&config, &backend, &base, &held_out)?));
    }
    Ok(scores)
}

/// Runs a future whose work is all computation.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Handle::current().block_on(work)
}
