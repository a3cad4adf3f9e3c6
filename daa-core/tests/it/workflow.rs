//! Workflows from the outside.

mod model;
mod saga;
mod steps;
mod world;
