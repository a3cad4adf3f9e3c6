//! tune
use std::sync::Arc;
use std::time::Instant;
use daa_compute::aggregate::*;
use daa_compute::codec::*;
use daa_compute::commitment::Round;
use daa_compute::config::RunConfig;
use daa_compute::dataset::*;
use daa_compute::inner::InnerConfig;
use daa_compute::model::*;
use daa_compute::worker::*;
use daa_compute::*;
use daa_core::id::AgentId;

fn env(k: &str, d: f64) -> f64 { std::env::var(k).ok().and_then(|v| v.parse().ok()).unwrap_or(d) }

fn main() {
    let csv = std::fs::read("examples/data/digits.csv").unwrap();
    let digits = Digits::parse_csv(&csv).unwrap();
    let seeds = env("SEEDS", 3.0) as u64;
    for seed in 0..seeds {
        let mut config = RunConfig::digits(seed);
        config.rounds = env("ROUNDS", config.rounds as f64) as u32;
        config.model = ModelSpec::Digits(DigitsNet { channels: env("CH", 16.0) as u32, hidden: env("HID", 64.0) as u32 });
        config.inner = InnerConfig::new(env("H", 20.0) as u32, env("B", 32.0) as u32, env("LR", 2e-3) as f32);
        config.final_rate = env("FINAL", 0.1) as f32;
        config.codec = CodecConfig::new(env("CHUNK", 256.0) as u32, env("K", 64.0) as u32, env("DECAY", 0.95) as f32).unwrap();
        config.outer_rate = env("ALPHA", 0.7) as f32;
        let lambda = env("LAMBDA", 30.0) as f32;
        let (train, held) = digits.hold_out_fifth(&config.root());
        let backend = BurnBackend::flex(config.model).unwrap();
        let held = backend.load_shard_blocking(&Shard::Digits(held)).unwrap();
        let t = Instant::now();
        // central: same sample-steps: rounds*H*(5 agents) of batch B => steps = rounds*H with batch 5B? use rounds*H*5 steps of B
        let whole = backend.load_shard_blocking(&Shard::Digits(train.clone())).unwrap();
        let mut central = config.initial().unwrap();
        let inner = InnerConfig { steps: config.rounds * config.inner.steps, batch: config.inner.batch * 5, ..config.inner };
        central = backend.train_blocking(&central, &whole, &inner, &config.root()).unwrap().parameters;
        let base_eval = backend.evaluate_blocking(&central, &held).unwrap();
        let tc = t.elapsed();
        let shards: Vec<_> = train.shards(5, &config.root()).into_iter().map(|d| backend.load_shard_blocking(&Shard::Digits(d)).unwrap()).collect();
        let layout = config.model.layout().unwrap();
        print!("seed {seed} central {:.2}% ({:.1?}) ", base_eval.accuracy * 100.0, tc);
        for (name, agg) in [("clip", Aggregation::CenteredClip(CenteredClip { iterations: env("ITERS", 3.0) as u32, radius: env("RADIUS", 1.0) })), ("mean", Aggregation::Mean)] {
            let t = Instant::now();
            config.aggregation = agg;
            let workers: Vec<_> = shards.iter().enumerate().map(|(i, s)| LocalWorker::new(Arc::new(backend.clone()), config, AgentId::new(format!("a{i}")).unwrap(), *s)).collect();
            let mut residuals = vec![Residual::zero(layout.clone()); 5];
            let mut base = config.initial().unwrap();
            let mut previous: Option<Vec<f32>> = None;
            let attack = config.rounds / 3;
            let dead = config.rounds / 2;
            let mut bytes_total = 0usize; let mut n = 0usize; let mut dead_run = false;
            let mut curve = String::new();
            for r in 0..config.rounds {
                let run = |i: usize, residual: &Residual| {
                    if i == 3 && r >= dead { return None; }
                    if i == 4 && r >= attack + env("POISONED", 2.0) as u32 && lambda != 0.0 { return None; }
                    let round = Round(r);
                    if i == 4 && r >= attack && lambda != 0.0 {
                        let inner = config.inner_at(round);
                        let tr = backend.train_blocking(&base, &shards[i], &inner, &config.root().nth(r as u64)).ok()?;
                        let d: Vec<f32> = base.values().iter().zip(tr.parameters.values()).map(|(b, l)| -lambda * (b - l)).collect();
                        return workers[i].submit(&base, residual, round, &d, 0.0).ok();
                    }
                    match futures_util::FutureExt::now_or_never(workers[i].round(&base, residual, round)).unwrap() { Ok(s) => Some(s), Err(_) => None }
                };
                let subs: Vec<Option<Submission>> = std::thread::scope(|s| {
                    let (residuals, run) = (&residuals, &run);
                    let a = s.spawn(move || [0, 2, 4].map(|i| run(i, &residuals[i])));
                    let b = s.spawn(move || [1, 3].map(|i| run(i, &residuals[i])));
                    let (a, b) = (a.join().unwrap(), b.join().unwrap());
                    let [a0, a2, a4] = a; let [b1, b3] = b;
                    vec![a0, b1, a2, b3, a4]
                });
                let mut updates = Vec::new();
                for (i, s) in subs.into_iter().enumerate() {
                    if let Some(s) = s { bytes_total += s.bytes.len(); n += 1; residuals[i] = s.residual; updates.push((workers[i].agent().clone(), s.bytes)); }
                }
                match close_round(&config, &base, &updates, previous.as_deref()) {
                    Ok((next, a)) => {
                        if env("VERBOSE", 0.0) > 0.0 && (r >= attack && r < attack + 3) { for p in &a.peers { println!("{r} {} norm {:.3} ratio {:.2} dist {:.2} clip {:.3}", p.agent, p.norm, p.norm_ratio, p.distance_ratio, p.clip); } }
                        base = next; previous = Some(a.values);
                    }
                    Err(e) => { curve += &format!("E:{e}"); dead_run = true; break; }
                }
                if r % 4 == 3 || r == attack + 1 || r == attack || r == config.rounds - 1 { curve += &format!("{}:{:.1} ", r + 1, backend.evaluate_blocking(&base, &held).unwrap().accuracy * 100.0); }
            }
            let e = backend.evaluate_blocking(&base, &held).unwrap();
            println!("{name} {:.2}% dead={dead_run} ({:.1?}) {:.3} bits/param/round | {curve}", e.accuracy * 100.0, t.elapsed(), bytes_total as f64 * 8.0 / n as f64 / layout.len() as f64);
        }
    }
}
