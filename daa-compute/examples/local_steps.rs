//! How long a local step takes, for both models.
//!
//!     cargo run --release -p daa-compute --example local_steps -- [TEXT FILE]

use std::error::Error;
use std::time::Instant;

use daa_compute::dataset::{Digits, Shard, Text};
use daa_compute::inner::InnerConfig;
use daa_compute::{BurnBackend, RunConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let digits = Digits::parse_csv(include_bytes!("../../examples/data/digits.csv"))?;
    measure("digits", &RunConfig::digits(1), &Shard::Digits(digits), 400)?;
    let text = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => b"the quick brown fox jumps over the lazy dog. ".repeat(2000),
    };
    measure("text", &RunConfig::text(1), &Shard::Text(Text::new(text)?), 60)
}

fn measure(name: &str, config: &RunConfig, shard: &Shard, steps: u32) -> Result<(), Box<dyn Error>> {
    let backend = BurnBackend::flex(config.model)?;
    let shard = backend.load_shard_blocking(shard)?;
    let mut parameters = config.initial()?;
    for repetition in 0..4 {
        let inner = InnerConfig { steps: if repetition == 0 { steps / 4 } else { steps }, ..config.inner };
        let start = Instant::now();
        let trained = backend.train_blocking(&parameters, &shard, &inner, &config.root().nth(repetition))?;
        let each = start.elapsed().as_secs_f64() * 1e3 / f64::from(inner.steps);
        println!("{name}: {each:.3} ms a step, loss {:.3} nats", trained.mean_loss);
        parameters = trained.parameters;
    }
    Ok(())
}
