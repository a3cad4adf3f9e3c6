//! Decentralised training: agents that do not trust each other train one model together.
//!
//! A run proceeds in rounds. In each, every member takes `H` local steps from the same base on its own shard,
//! sends a compressed difference that it has committed to, and everyone applies the same robust aggregate.
//! A sample of the submissions is recomputed bit for bit afterwards; who forged one is slashed on evidence that
//! anybody can recheck.
//!
//! | part | where |
//! |---|---|
//! | flat parameters and their layout | [`parameters`] |
//! | models, local optimisation, presets | [`model`], [`inner`], [`config`] |
//! | datasets cut into shards | [`dataset`] |
//! | where the arithmetic runs | [`backend`], `tensor_backend` (feature `flex` or `wgpu`) |
//! | compressed updates | [`codec`] |
//! | robust aggregation | [`aggregate`] |
//! | what a member signs | [`commitment`] |
//! | the round protocol, without I/O | [`protocol`] |
//! | one member's side of a round | [`worker`] |
//! | replay, evidence, checkpoints | [`replay`], [`evidence`], [`checkpoint`] |
//!
//! Without its default features the crate has no tensor library in it and compiles for wasm32: everything but
//! `tensor_backend` is there.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::dbg_macro,
        clippy::print_stdout
    )
)]

pub mod aggregate;
pub mod backend;
pub mod checkpoint;
pub mod codec;
pub mod commitment;
pub mod config;
pub mod dataset;
pub mod evidence;
pub mod inner;
pub mod model;
pub mod parameters;
pub mod protocol;
pub mod replay;
mod sampling;
#[cfg(feature = "_burn")]
pub mod tensor_backend;
pub mod wire;
pub mod worker;

pub use backend::{ComputeBackend, ComputeError};
pub use config::RunConfig;
pub use parameters::{Layout, Parameters};
#[cfg(feature = "_burn")]
pub use tensor_backend::BurnBackend;
pub use worker::{LocalWorker, Submission};
