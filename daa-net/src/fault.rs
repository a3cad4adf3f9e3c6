//! Faults of what is below, in the words of this crate.

use daa_core::fault::Fault;

/// Whose fault an error of cryptography is.
pub(crate) fn fault_of(error: &impl daa_crypto::Reaction) -> Fault {
    match error.fault() {
        daa_crypto::Fault::Caller => Fault::Caller,
        daa_crypto::Fault::Peer => Fault::Peer,
        daa_crypto::Fault::Environment => Fault::Environment,
        daa_crypto::Fault::Bug => Fault::Bug,
    }
}
