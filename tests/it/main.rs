//! The facade, seen from outside: the swarm as a program, and what a crash does to it.

mod crash;
mod program;
mod refusals;
