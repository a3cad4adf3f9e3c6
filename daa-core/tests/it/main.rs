//! Tests of daa-core through its public face.

mod memory_artifacts;
mod memory_events;
