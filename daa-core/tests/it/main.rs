//! The integration tests of daa-core, in one binary.

mod agent;
