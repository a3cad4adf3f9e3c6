//! DAA: an SDK for decentralised autonomous agents.
//!
//! An agent watches, reasons, acts, reflects and adapts. Whatever it does passes rules and a budget, is recorded
//! before and after, and survives a crash at any point. Several of them can train one model together without
//! trusting each other.
//!
//! This crate is the front door: it re-exports the crates by feature, and holds what can only be built where they
//! meet.
//!
//! | feature | what it brings | crate |
//! |---|---|---|
//! | always | events, gate, agents, executors, bus, plugins | [`core`] |
//! | `store` | SQLite, artefacts on disk | `daa-store` as `daa::store` |
//! | `rules` | rulesets in TOML and YAML with CEL conditions | `daa-rules` as `daa::rules` |
//! | `audit` | an audit log for outsiders to verify, not on by default | `daa-rules` as `daa::rules::audit` |
//! | `cli` | the program `daa-audit-pq`, which verifies bundles of audit logs, not on by default | `daa::rules::audit::program` |
//! | `cedar` | authorisation by roles and attributes, not on by default | `daa-rules` as `daa::rules::authorisation` |
//! | `economy` | ledger, budgets, stakes, rewards | `daa-economy` as `daa::economy` |
//! | `crypto` | post-quantum signatures, sealed messages, key files; with `audit`, `daa::audit` | `daa-crypto` as `daa::crypto` |
//! | `net` | nodes that find, authenticate and reach each other; it brings `crypto` along; with `compute`, swarms over them | `daa-net` as `daa::net` |
//! | `schedule` | workflows that start by themselves, and rules that are triggered, by cron patterns in a time zone | [`core`], `daa::rules` |
//! | `compute` | training, and `daa::swarm`, which brings rules and economy along | `daa-compute` as `daa::compute` |
//!
//! All but `audit`, `cedar`, `cli` and `schedule` are on by default. Begin with `examples/hello_agent.rs`; then run
//! `cargo run --release --example swarm`.
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

#[cfg(feature = "compute")]
pub use daa_compute as compute;
pub use daa_core as core;
#[cfg(feature = "crypto")]
pub use daa_crypto as crypto;
#[cfg(feature = "economy")]
pub use daa_economy as economy;
#[cfg(feature = "net")]
pub use daa_net as net;
#[cfg(feature = "rules")]
pub use daa_rules as rules;
#[cfg(feature = "store")]
pub use daa_store as store;

#[cfg(all(feature = "audit", feature = "crypto"))]
pub mod audit;
pub mod prelude;
#[cfg(feature = "compute")]
pub mod swarm;

/// What the README shows compiles and runs.
#[cfg(all(doctest, feature = "rules", feature = "economy"))]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
