//! Who computes ML-DSA and ML-KEM.
//!
//! Two implementations of the standards stand behind [`Provider`]: [`AwsLc`] where a C compiler is at hand, and
//! [`Libcrux`] everywhere, wasm32 included. They compute the same values, so which one is at work can be seen in nothing
//! but the time it takes; the tests compare both, and a third one, with each other and with the standards' vectors.
//!
//! What needs no choice is not behind the trait: Ed25519, SLH-DSA, X-Wing, the cipher and the hashes are one
//! implementation everywhere. For Ed25519 that is more than convenience: implementations differ in which odd signatures
//! they accept, and nodes that must agree cannot have that.

#[cfg(all(feature = "aws-lc", not(target_arch = "wasm32")))]
mod aws_lc;
mod libcrux;

use std::fmt;
use std::sync::Arc;

#[cfg(all(feature = "aws-lc", not(target_arch = "wasm32")))]
pub use aws_lc::AwsLc;
pub use libcrux::Libcrux;
pub(crate) use libcrux::{ContextSigner, verify_with_context};

use crate::error::ProviderError;
use crate::secret::Secret;

/// The parameter sets of ML-DSA (FIPS 204, table 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the standard has these three")]
pub enum MlDsa {
    /// ML-DSA-44.
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
}

impl MlDsa {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::MlDsa44, Self::MlDsa65, Self::MlDsa87];

    /// Bytes of a public key.
    #[must_use]
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::MlDsa44 => 1312,
            Self::MlDsa65 => 1952,
            Self::MlDsa87 => 2592,
        }
    }

    /// Bytes of a signature.
    #[must_use]
    pub const fn signature_len(self) -> usize {
        match self {
            Self::MlDsa44 => 2420,
            Self::MlDsa65 => 3309,
            Self::MlDsa87 => 4627,
        }
    }
}

/// The parameter sets of ML-KEM (FIPS 203, table 2) that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "of the standard's three, ML-KEM-512 is not offered")]
pub enum MlKem {
    /// ML-KEM-768.
    MlKem768,
    /// ML-KEM-1024.
    MlKem1024,
}

impl MlKem {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::MlKem768, Self::MlKem1024];

    /// Bytes of a public key.
    #[must_use]
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::MlKem768 => 1184,
            Self::MlKem1024 => 1568,
        }
    }

    /// Bytes of a ciphertext.
    #[must_use]
    pub const fn ciphertext_len(self) -> usize {
        match self {
            Self::MlKem768 => 1088,
            Self::MlKem1024 => 1568,
        }
    }
}

/// An implementation of ML-DSA and ML-KEM.
///
/// # Contract
///
/// - Keys are derived from seeds as the standards say (FIPS 204, algorithm 6; FIPS 203, algorithm 16), so that every
///   provider makes the same keys.
/// - Signatures are of ML-DSA with the empty context, hedged with fresh randomness, or deterministic.
/// - Whether a signature verifies, and what a ciphertext decapsulates to, is the same with every provider.
/// - Public keys and ciphertexts have the right length, and public keys of ML-KEM are reduced, when a provider sees
///   them. Signatures may have any length.
/// - Nothing panics, and what is secret is wiped when it is dropped.
///
/// [`testing::provider_conformance`](crate::testing::provider_conformance), feature `test-util`, checks it.
pub trait Provider: Send + Sync + fmt::Debug {
    /// The name, for errors and reports.
    fn name(&self) -> &'static str;

    /// Makes a signing key of a seed.
    ///
    /// # Errors
    /// [`ProviderError`], never for a reason in the seed.
    fn ml_dsa_signer(&self, set: MlDsa, seed: &[u8; 32]) -> Result<Box<dyn MlDsaSigner>, ProviderError>;

    /// Makes a verifier of a public key. Every key of the right length is one.
    ///
    /// # Errors
    /// [`ProviderError`] when the length is wrong.
    fn ml_dsa_verifier(&self, set: MlDsa, key: &[u8]) -> Result<Box<dyn MlDsaVerifier>, ProviderError>;

    /// Makes a decapsulation key of a seed, *d* before *z*.
    ///
    /// # Errors
    /// [`ProviderError`], never for a reason in the seed.
    fn ml_kem_decapsulator(
        &self,
        set: MlKem,
        seed: &[u8; 64],
    ) -> Result<Box<dyn MlKemDecapsulator>, ProviderError>;

    /// Makes an encapsulator of a public key.
    ///
    /// # Errors
    /// [`ProviderError`] when the length is wrong, or the key is not reduced.
    fn ml_kem_encapsulator(
        &self,
        set: MlKem,
        key: &[u8],
    ) -> Result<Box<dyn MlKemEncapsulator>, ProviderError>;
}

/// A signing key of ML-DSA.
pub trait MlDsaSigner: Send + Sync {
    /// The public key.
    fn public_key(&self) -> &[u8];

    /// Signs with the empty context.
    ///
    /// # Errors
    /// [`ProviderError`], such as for want of randomness.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ProviderError>;
}

/// A public key of ML-DSA.
pub trait MlDsaVerifier: Send + Sync {
    /// Whether the signature is one of this key and message, with the empty context.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;
}

/// A decapsulation key of ML-KEM.
pub trait MlKemDecapsulator: Send + Sync {
    /// The public key.
    fn public_key(&self) -> &[u8];

    /// The shared secret; of a ciphertext that was tampered with another one, as the standard says.
    ///
    /// # Errors
    /// [`ProviderError`] when the length is wrong.
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, ProviderError>;
}

/// A public key of ML-KEM.
pub trait MlKemEncapsulator: Send + Sync {
    /// A ciphertext, and the secret in it.
    ///
    /// # Errors
    /// [`ProviderError`], such as for want of randomness.
    fn encapsulate(&self) -> Result<(Vec<u8>, Secret), ProviderError>;
}

/// The fastest provider that this build has.
#[must_use]
pub fn default_provider() -> Arc<dyn Provider> {
    #[cfg(all(feature = "aws-lc", not(target_arch = "wasm32")))]
    return Arc::new(AwsLc::new());
    #[cfg(not(all(feature = "aws-lc", not(target_arch = "wasm32"))))]
    return Arc::new(Libcrux::new());
}
