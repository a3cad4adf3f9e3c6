//! Workflows from the outside.

mod archive;
mod behaviour;
mod books;
mod changes;
mod definitions;
mod exhaustive;
mod explained;
mod growth;
mod large;
mod listing;
mod model;
mod noise;
mod pausing;
mod refusals;
mod retention;
mod saga;
mod schedules;
mod service;
mod start_up;
mod steps;
mod stores;
mod taint;
mod traps;
mod unknown;
mod world;
