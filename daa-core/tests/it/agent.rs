//! The agent, end to end.

mod crash;
mod cycle;
mod world;
