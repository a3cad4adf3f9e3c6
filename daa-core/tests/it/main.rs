//! Behaviour of daa-core through its public interface.

mod agent;
mod archived_events;
mod artifact_races;
mod bus;
mod cache;
mod gate;
mod gate_crash;
mod gate_memory;
mod gate_world;
mod inbox;
mod memory_artifacts;
mod memory_events;
mod orchestrator;
mod plugin;
mod projection;
mod relay;
mod resilience;
mod schedule;
mod soundness;
mod trace;
mod workflow;
