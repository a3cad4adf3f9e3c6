//! Post-quantum signatures, key encapsulation, sealed messages and key files.
//!
//! The algorithms are those of FIPS 203, 204 and 205, with Ed25519 and X25519 beside them in hybrids. (The implementations
//! are not certified modules.) Every encoding says which algorithm it is of, a [`Policy`] says which are accepted, and
//! every signature, sealed message and derived key is for one [`Context`].
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use daa_crypto::{Context, CryptoSuite, KemAlgorithm};
//!
//! const LETTER: Context = Context::new("my-protocol letter v1");
//! let suite = CryptoSuite::new();
//! let bob = suite.generate_decapsulation_key(KemAlgorithm::XWing)?;
//!
//! let sealed = suite.seal(bob.encapsulation_key(), LETTER, b"to bob", b"meet me at noon")?;
//! assert_eq!(suite.open(&bob, LETTER, b"to bob", &sealed)?, b"meet me at noon");
//! assert!(suite.open(&bob, LETTER, b"to carol", &sealed).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! | for | take |
//! |---|---|
//! | signing | [`SignatureAlgorithm::MlDsa65`]; [`SignatureAlgorithm::MlDsa65Ed25519`] where lattices alone are not trusted yet |
//! | root and recovery keys | [`SignatureAlgorithm::SlhDsaSha2_192s`], which rests on hashes alone |
//! | sending secrets | [`KemAlgorithm::XWing`] |
//! | messages and files | [`CryptoSuite::seal`], [`CryptoSuite::seal_to`] |
//! | keys from secrets | [`HkdfSha256`], [`derive_key`] |
//! | keys at rest | [`KeyFile`]; [`share`] for recovery keys |
//! | a key in a device | [`Signer`] |
//!
//! # What is not here
//!
//! No fallback to another algorithm when one fails: which one is used is decided by the key, and by nothing else. No
//! signature that hides its signer, no password-authenticated exchange, no certificate. Nothing says who sealed a message:
//! sign it first. Secrets are wiped where they are held; copies that a compiler spills to the stack, and that swapping or
//! hibernation write to disk, are not.
//!
//! # Errors
//!
//! Every error implements [`Reaction`]: whose fault it is, and whether the same call may succeed later.
//!
//! # Features
//!
//! | feature | what it brings |
//! |---|---|
//! | `aws-lc`, on by default | ML-DSA and ML-KEM by AWS-LC: the same values, faster; needs a C compiler; has no effect on wasm32 |
//! | `hqc` | `KemAlgorithm::X25519Hqc192`: a draft |
//! | `test-util` | the conformance suite of providers |
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::dbg_macro,
        clippy::print_stdout
    )
)]

mod algorithm;
mod context;
mod digest;
mod encoding;
mod error;
mod frames;
mod kdf;
mod kem;
mod key_file;
mod key_id;
mod policy;
pub mod provider;
mod rotation;
mod scheme;
mod sealed;
mod secret;
pub mod share;
mod signature;
mod signer;
mod signing_key;
mod suite;
#[cfg(feature = "test-util")]
#[expect(clippy::expect_used, reason = "a test that fails")]
pub mod testing;
#[cfg(test)]
mod vectors;

pub use algorithm::{KemAlgorithm, SignatureAlgorithm};
pub use context::Context;
pub use digest::{Digest, DigestAlgorithm, Hasher};
pub use encoding::Kind;
pub use error::{
    Algorithm, DecodeError, Fault, KemError, KeyError, LengthError, NotAccepted, ProviderError,
    RandomnessError, Reaction, SignError, VerifyError,
};
pub use frames::{FRAME_TAG, FrameCipher, FrameError, FrameOpener, FrameSealer};
pub use kdf::{HkdfSha256, OutputTooLong, derive_key};
pub use kem::{DecapsulationKey, EncapsulationKey, KemCiphertext};
pub use key_file::{Argon2Params, Argon2ParamsError, KeyFile, KeyFileError, Passphrase, StoredKey};
pub use key_id::{KeyId, ParseKeyIdError};
pub use policy::Policy;
pub use rotation::{RotateError, Rotation, RotationError};
pub use scheme::signed_bytes;
pub use sealed::{
    CHUNK, MAX_MESSAGE, OpenError, OpenReader, SealError, SealWriter, StreamOpener, StreamSealer, TAG,
};
pub use secret::Secret;
pub use signature::Signature;
pub use signer::Signer;
pub use signing_key::{SigningKey, VerifyingKey};
pub use suite::CryptoSuite;

/// What the README shows compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
