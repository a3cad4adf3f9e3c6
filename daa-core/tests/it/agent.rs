//! The agent, end to end.

mod crash;
mod cycle;
mod learning;
mod running;
mod world;
