//! The agent, end to end.

mod cycle;
mod world;
