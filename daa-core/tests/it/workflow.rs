//! Workflows from the outside.

mod archive;
mod saga;
mod schedules;
mod service;
mod start_up;
mod steps;
mod world;
