//! The local step: ours on burn's `flex`, beside PyTorch with the same model, batch, optimiser and threads.

use std::process::Command;
use std::time::Instant;

use daa_compute::dataset::{Digits, Shard, Text};
use daa_compute::inner::InnerConfig;
use daa_compute::model::ModelSpec;
use daa_compute::{BurnBackend, RunConfig};
use daa_core::seed::Seed;

use crate::line::{Better, Line};

const THREADS: usize = 2;

pub(crate) fn run() -> Vec<Line> {
    let mut lines = Vec::new();
    for (task, config, steps) in [("digits", RunConfig::digits(7), 60), ("text", RunConfig::text(7), 10)] {
        let ours = ours(&config, steps);
        let line =
            Line::alone("training", format!("{task}: local step, {THREADS} threads"), "ms", ours * 1e3);
        lines.push(match torch(task, &config, steps * 2) {
            Some((seconds, version)) => {
                line.beside(format!("PyTorch {version}"), seconds * 1e3, Better::Lower)
            }
            None => line,
        });
    }
    lines
}

/// Seconds of a step: the median of five calls of `steps` steps.
fn ours(config: &RunConfig, steps: u32) -> f64 {
    let backend = BurnBackend::flex(config.model).expect("the preset's model");
    let shard = match config.model {
        ModelSpec::Digits(_) => {
            let rows: Vec<String> = (0..300)
                .map(|i| {
                    let pixels: Vec<String> = (0..64).map(|p| ((i * 7 + p * 3) % 17).to_string()).collect();
                    format!("{},{}", pixels.join(","), i % 10)
                })
                .collect();
            Shard::Digits(Digits::parse_csv(rows.join("\n").as_bytes()).expect("well-formed rows"))
        }
        _ => {
            let bytes: Vec<u8> =
                (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            Shard::Text(Text::new(bytes).expect("a small text"))
        }
    };
    let shard = backend.load_shard_blocking(&shard).expect("a large enough shard");
    let base = config.initial().expect("initial parameters");
    let inner = InnerConfig { steps, ..config.inner };
    let seed = Seed::from_u64(1);
    backend.train_blocking(&base, &shard, &InnerConfig { steps: 3, ..inner }, &seed).expect("a warm-up");
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let began = Instant::now();
            backend.train_blocking(&base, &shard, &inner, &seed).expect("training");
            began.elapsed().as_secs_f64() / f64::from(steps)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[2]
}

/// Seconds of a step in PyTorch, and its version; `None` where python3 has no torch.
fn torch(task: &str, config: &RunConfig, steps: u32) -> Option<(f64, String)> {
    let python = std::env::var("DAA_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/torch_step.py");
    let mut command = Command::new(python);
    command.arg(script).arg(task).arg(THREADS.to_string()).arg(steps.to_string());
    match config.model {
        ModelSpec::Digits(net) => command.args([net.channels, net.hidden].map(|value| value.to_string())),
        ModelSpec::Bytes(net) => {
            command.args([net.layers, net.width, net.heads, net.context].map(|value| value.to_string()))
        }
        _ => return None,
    };
    command.arg(config.inner.batch.to_string());
    let output = command.output().ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    Some((answer["seconds"].as_f64()?, answer["version"].as_str()?.to_owned()))
}
