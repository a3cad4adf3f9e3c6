//! The facade, seen from outside: the examples as programs, and what a crash does to them.

mod crash;
mod grow;
mod processes;
mod program;
mod refusals;
mod workflow_examples;
