//! Workflows from the outside.

mod archive;
mod saga;
mod schedules;
mod steps;
mod world;
