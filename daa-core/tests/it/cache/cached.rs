//! Typed values in front of a source: in virtual time, unless said otherwise.

mod degraded;
mod flights;
mod invalidation;
mod laws;
mod lives;
mod world;
