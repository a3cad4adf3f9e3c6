//! The lab itself: ground, line, nodes, and what is played on it.

mod failure;
mod ground;
mod line;
mod message;
pub(crate) mod node;
pub(crate) mod outside;
mod plan;
mod remote;
mod report;
mod scene;
pub(crate) mod stage;
mod tool;
mod wire;

pub(crate) use failure::Failure;
