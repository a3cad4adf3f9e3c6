//! Five members learn the UCI digits. One turns on the others after a third of the rounds and gets two poisoned updates
//! in before it is ejected; one dies at half-time. Compared are centred clipping, the plain mean, and one node alone
//! that sees as many examples in the same number of steps.
//!
//!     cargo run --release -p daa-compute --example digits_rounds -- [SEEDS [ATTACK]]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use daa_compute::aggregate::{Aggregation, CenteredClip};
use daa_compute::codec::Residual;
use daa_compute::commitment::Round;
use daa_compute::dataset::{Digits, Shard};
use daa_compute::inner::InnerConfig;
use daa_compute::worker::{Submission, WorkError, close_round};
use daa_compute::{BurnBackend, LocalWorker, Parameters, RunConfig};
use daa_core::digest::Digest;
use daa_core::id::AgentId;
use futures_util::FutureExt;

const MEMBERS: usize = 5;
const DEAD: usize = 3;
const ATTACKER: usize = 4;
const POISONED_ROUNDS: u32 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seeds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let attack: f32 = arguments.next().map_or(Ok(100.0), |text| text.parse())?;
    let digits = Digits::parse_csv(include_bytes!("../../examples/data/digits.csv"))?;
    println!("seed  alone    clip     mean     bits/parameter/round  seconds");
    for seed in 0..seeds {
        let start = Instant::now();
        let config = RunConfig::digits(seed);
        let (train, held) = digits.hold_out_fifth(&config.root());
        let backend = BurnBackend::flex(config.model)?;
        let held = backend.load_shard_blocking(&Shard::Digits(held))?;
        let score = |p: &Parameters| backend.evaluate_blocking(p, &held).map(|e| e.accuracy * 100.0);

        let whole = backend.load_shard_blocking(&Shard::Digits(train.clone()))?;
        let alone = score(&alone(&config, &backend, &whole)?)?;
        let shards = train.shards(MEMBERS, &config.root());
        let shards: Vec<Digest> = shards
            .into_iter()
            .map(|d| backend.load_shard_blocking(&Shard::Digits(d)))
            .collect::<Result<_, _>>()?;
        let clip = Aggregation::CenteredClip(CenteredClip::default());
        let (robust, bits) = together(RunConfig { aggregation: clip, ..config }, &backend, &shards, attack)?;
        let mean =
            together(RunConfig { aggregation: Aggregation::Mean, ..config }, &backend, &shards, attack);
        let mean = match mean {
            Ok((parameters, _)) => format!("{:5.2} %", score(&parameters)?),
            Err(WorkError::Compute(error)) => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        let (robust, seconds) = (score(&robust)?, start.elapsed().as_secs_f64());
        println!("{seed:4}  {alone:5.2} %  {robust:5.2} %  {mean}  {bits:20.3}  {seconds:7.1}");
    }
    Ok(())
}

/// One node: the same steps, with the batches of all members at once.
fn alone(config: &RunConfig, backend: &BurnBackend, whole: &Digest) -> Result<Parameters, WorkError> {
    let mut parameters = config.initial()?;
    for round in (0..config.rounds).map(Round) {
        let inner = config.inner_at(round);
        let inner = InnerConfig { batch: inner.batch * MEMBERS as u32, ..inner };
        let seed = config.root().child("alone").nth(u64::from(round.0));
        parameters = backend.train_blocking(&parameters, whole, &inner, &seed)?.parameters;
    }
    Ok(parameters)
}

/// The swarm. Returns the model and the mean size of an update, in bits a parameter.
fn together(
    config: RunConfig,
    backend: &BurnBackend,
    shards: &[Digest],
    attack: f32,
) -> Result<(Parameters, f64), WorkError> {
    let worker = |(i, shard): (usize, &Digest)| {
        let agent = AgentId::new(format!("member-{i}")).expect("a short printable name");
        LocalWorker::new(Arc::new(backend.clone()), config, agent, *shard)
    };
    let workers: Vec<LocalWorker> = shards.iter().enumerate().map(worker).collect();
    let mut base = config.initial()?;
    let mut residuals = vec![Residual::zero(base.layout().clone()); workers.len()];
    let mut previous: Option<Vec<f32>> = None;
    let (mut bytes, mut updates) = (0, 0);
    for round in (0..config.rounds).map(Round) {
        let work = |i: usize| submit(&config, backend, &workers, shards, attack, &base, &residuals, round, i);
        let results: Vec<(usize, Option<Result<Submission, WorkError>>)> = std::thread::scope(|scope| {
            let halves = [0, 1].map(|first| {
                let work = &work;
                scope.spawn(move || (first..MEMBERS).step_by(2).map(|i| (i, work(i))).collect::<Vec<_>>())
            });
            halves.into_iter().flat_map(|half| half.join().expect("a worker panicked")).collect()
        });
        let mut accepted: Vec<(AgentId, Bytes)> = Vec::new();
        for (i, result) in results {
            let Some(submission) = result.transpose()? else { continue };
            bytes += submission.bytes.len();
            updates += 1;
            residuals[i] = submission.residual;
            accepted.push((submission.commitment.agent, submission.bytes));
        }
        let (next, aggregate) = close_round(&config, &base, &accepted, previous.as_deref())?;
        (base, previous) = (next, Some(aggregate.values));
    }
    let parameters = base.values().len() * updates.max(1);
    Ok((base, bytes as f64 * 8.0 / parameters as f64))
}

/// What member `i` does in a round: nothing when dead or ejected, harm when hostile.
#[expect(clippy::too_many_arguments, reason = "an example, kept flat")]
fn submit(
    config: &RunConfig,
    backend: &BurnBackend,
    workers: &[LocalWorker],
    shards: &[Digest],
    attack: f32,
    base: &Parameters,
    residuals: &[Residual],
    round: Round,
    i: usize,
) -> Option<Result<Submission, WorkError>> {
    let turns = config.rounds / 3;
    let gone =
        (i == DEAD && round.0 >= config.rounds / 2) || (i == ATTACKER && round.0 >= turns + POISONED_ROUNDS);
    if gone {
        return None;
    }
    if i != ATTACKER || round.0 < turns {
        return workers[i].round(base, &residuals[i], round).now_or_never();
    }
    let trained = backend.train_blocking(base, &shards[i], &config.inner_at(round), &config.root());
    Some(trained.map_err(WorkError::from).and_then(|trained| {
        let away = base.values().iter().zip(trained.parameters.values()).map(|(b, l)| -attack * (b - l));
        workers[i].submit(base, &residuals[i], round, &away.collect::<Vec<_>>(), trained.mean_loss)
    }))
}
