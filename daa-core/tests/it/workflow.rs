//! Workflows from the outside.

mod saga;
mod steps;
mod world;
