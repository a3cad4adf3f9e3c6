//! Workflows from the outside.

mod model;
mod saga;
mod steps;
mod stores;
mod traps;
mod world;
