//! Tests of `daa-crypto` from outside, in one binary.

mod arbitrary;
mod derivation;
mod encodings;
mod files;
mod frames;
mod policies;
mod providers;
mod rotations;
mod sealing;
mod secrets;
mod shares;
mod signatures;
mod streams;

use daa_crypto::{CryptoSuite, KemAlgorithm, Policy, SignatureAlgorithm};

/// Accepts whatever there is.
fn lenient() -> CryptoSuite {
    let policy =
        SignatureAlgorithm::ALL.iter().fold(Policy::none(), |policy, &one| policy.with_signature(one));
    CryptoSuite::new().with_policy(KemAlgorithm::ALL.iter().fold(policy, |policy, &one| policy.with_kem(one)))
}

/// Of each kind of seed some bytes that no key has.
fn seed(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at * 7 % 251).expect("below 251")).collect()
}
