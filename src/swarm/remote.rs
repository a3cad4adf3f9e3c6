//! A run whose members are elsewhere: the coordinator answers over a network, and each member follows the run from where it is.
//!
//! A [`RunHost`] answers for a [`Coordinator`](super::Coordinator) on a node of `daa-net`. A [`RemoteCoordinator`] is what a member has
//! instead of it: it rebuilds the run from the run's own events, fetches artefacts by their digests, and asks for what it does. Who asks is
//! proved by the handshake of the network; which agent that is was settled when it joined.

mod artifacts;
mod client;
mod follow;
mod host;
mod link;
mod seats;
#[cfg(test)]
mod tests;
mod wire;

pub use client::{RemoteCoordinator, RemoteParts};
pub use host::{Admission, RunHost};
pub use seats::BOUND_KIND;
