//! The agent, end to end.

mod acting;
mod crash;
mod cycle;
mod learning;
mod running;
mod world;
