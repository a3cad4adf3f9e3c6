//! Relays through their public interface.

mod behaviour;
mod crash;
mod load;
mod poison;
mod succession;
pub(crate) mod world;
