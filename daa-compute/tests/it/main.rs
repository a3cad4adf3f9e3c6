//! The behaviour of `daa-compute`, from outside.

mod aggregation;
mod checkpoints;
mod codec;
mod commitments;
mod datasets;
#[cfg(feature = "live")]
mod live;
mod protocol;
#[cfg(feature = "flex")]
mod replay;
#[cfg(feature = "flex")]
mod training;

use daa_compute::backend::ComputePath;
use daa_compute::commitment::{Commitment, Round, RunId, batch_seed};
use daa_compute::parameters::{Layout, TensorSpec};
use daa_core::digest::Digest;
use daa_core::id::AgentId;

fn agent(number: usize) -> AgentId {
    AgentId::new(format!("agent-{number}")).unwrap()
}

fn layout() -> Layout {
    Layout::new(vec![
        TensorSpec::new("matrix", 30, 41),
        TensorSpec::new("bias", 1, 7),
        TensorSpec::new("scalar", 1, 1),
    ])
    .unwrap()
}

fn commitment() -> Commitment {
    let of = |text: &str| Digest::of(text.as_bytes());
    let run = RunId(of("run"));
    Commitment {
        run,
        round: Round(3),
        agent: agent(1),
        base: of("base"),
        config: of("config"),
        shard: of("shard"),
        batch_seed: batch_seed(run, Round(3), &agent(1)),
        layout: of("layout"),
        residual_before: of("before"),
        residual_after: of("after"),
        update: of("update"),
        examples: 640,
        path: ComputePath::new("path"),
    }
}
