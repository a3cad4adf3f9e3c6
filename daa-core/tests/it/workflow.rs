//! Workflows from the outside.

mod archive;
mod model;
mod saga;
mod schedules;
mod service;
mod steps;
mod world;
