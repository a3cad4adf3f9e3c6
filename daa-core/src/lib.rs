//! The spine of DAA.
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

pub mod action;
pub mod agent;
pub mod amount;
pub mod artifact;
#[cfg(feature = "runtime")]
pub mod bus;
pub mod cache;
pub mod clock;
mod counters;
pub mod digest;
pub mod event;
mod failure_text;
pub mod fault;
#[cfg(feature = "runtime")]
pub mod health;
pub mod id;
#[cfg(feature = "runtime")]
pub mod inbox;
pub mod lease;
pub mod limiter;
#[cfg(feature = "runtime")]
pub mod orchestrator;
#[cfg(feature = "runtime")]
pub mod plugin;
#[cfg(feature = "runtime")]
pub mod projection;
#[cfg(feature = "runtime")]
pub mod relay;
pub mod resilience;
pub mod seed;
pub mod shutdown;
#[cfg(feature = "runtime")]
mod standby;
pub mod suggest;
pub mod workflow;
