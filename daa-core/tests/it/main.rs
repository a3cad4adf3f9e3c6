//! The integration tests of the crate: one binary, so that linking stays cheap.

mod bus;
mod resilience;
