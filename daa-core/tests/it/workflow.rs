//! Workflows from the outside.

mod archive;
mod behaviour;
mod exhaustive;
mod model;
mod refusals;
mod saga;
mod schedules;
mod service;
mod steps;
mod stores;
mod traps;
mod world;
