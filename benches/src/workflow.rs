//! Workflows: what a step costs on disk, beside durare, and in memory; replay; what parked runs cost.

mod durable;
mod in_memory;
mod parked;
mod world;

use crate::line::Line;

pub(crate) fn run() -> Vec<Line> {
    let runtime = world::runtime();
    let mut lines = durable::run(&runtime);
    lines.extend(runtime.block_on(parked::run()));
    lines
}

/// The engine itself, without a disk.
pub(crate) fn steps() -> Vec<Line> {
    world::runtime().block_on(in_memory::run())
}
