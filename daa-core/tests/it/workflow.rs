//! Workflows from the outside.

mod behaviour;
mod exhaustive;
mod model;
mod refusals;
mod saga;
mod steps;
mod stores;
mod traps;
mod world;
