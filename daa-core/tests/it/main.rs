//! The integration tests of the crate: one binary, so that linking stays cheap.

mod bus;
mod orchestrator;
mod plugin;
mod resilience;
