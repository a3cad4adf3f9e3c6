//! DAA: an SDK for decentralised autonomous agents.
pub use daa_core as core;
