//! The audit log, from the gate to the verifier.

mod arbitrary;
mod bundles;
mod crashes;
#[cfg(feature = "audit-http")]
mod http;
mod irregular;
mod journey;
mod keys;
mod owners;
#[cfg(feature = "audit-test")]
mod peers;
#[cfg(feature = "cli")]
mod program;
mod statements;
mod succession;
mod tampering;
mod traces;
mod witnesses;
pub(crate) mod world;
