//! The agent, end to end.

mod acting;
mod crash;
mod cycle;
mod learning;
mod outside;
mod running;
mod world;
