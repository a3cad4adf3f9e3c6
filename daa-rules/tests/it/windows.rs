//! Limits over time: exact, whatever fails, crashes, races or is replaced on the way.

mod again;
mod approvals;
mod brute_force;
mod clocks;
mod held;
mod races;
mod rebuilt;
mod ruleset;
mod sequences;
mod waiting;
mod world;
