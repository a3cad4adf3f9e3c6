//! Keys that sign, and keys that verify.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::algorithm::SignatureAlgorithm;
use crate::context::Context;
use crate::encoding::{Kind, read_one, write_one};
use crate::error::{DecodeError, KeyError, SignError};
use crate::key_id::KeyId;
use crate::provider::Provider;
use crate::scheme::{self, SigningScheme, VerifyingScheme};
use crate::secret::Seed;
use crate::signature::Signature;

/// A secret key that signs.
///
/// Made by [`CryptoSuite::generate_signing_key`](crate::CryptoSuite::generate_signing_key), or unlocked from a
/// [`KeyFile`](crate::KeyFile). It is wiped when dropped, and does not show itself.
pub struct SigningKey {
    algorithm: SignatureAlgorithm,
    seed: Seed,
    scheme: Box<dyn SigningScheme>,
    public: VerifyingKey,
}

impl SigningKey {
    pub(crate) fn from_seed(
        provider: &dyn Provider,
        algorithm: SignatureAlgorithm,
        seed: Seed,
    ) -> Result<Self, KeyError> {
        let scheme = scheme::signing(provider, algorithm, seed.as_slice())?;
        let failed = |_| crate::error::ProviderError::new(provider.name(), "reading its own public key");
        let public = VerifyingKey::new(provider, algorithm, scheme.public_key()).map_err(failed)?;
        Ok(Self { algorithm, seed, scheme, public })
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The public half.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs a message for one use.
    ///
    /// Signatures are randomised, except those of Ed25519: two of the same message differ, and both verify. SLH-DSA takes
    /// up to a second; call it where that blocks nothing.
    ///
    /// # Errors
    /// [`SignError`]: no randomness, or a bug in the provider.
    pub fn sign(&self, context: Context, message: &[u8]) -> Result<Signature, SignError> {
        Ok(Signature::new(self.algorithm, self.scheme.sign(context, message)?))
    }

    pub(crate) const fn seed(&self) -> &Seed {
        &self.seed
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {})", self.algorithm, self.public.id())
    }
}

/// A public key that verifies signatures. Cheap to clone.
///
/// It verifies through [`CryptoSuite::verify`](crate::CryptoSuite::verify), which asks the policy first.
#[derive(Clone)]
pub struct VerifyingKey(Arc<Inner>);

struct Inner {
    algorithm: SignatureAlgorithm,
    bytes: Box<[u8]>,
    id: KeyId,
    scheme: Box<dyn VerifyingScheme>,
}

impl VerifyingKey {
    fn new(
        provider: &dyn Provider,
        algorithm: SignatureAlgorithm,
        bytes: &[u8],
    ) -> Result<Self, DecodeError> {
        let scheme = scheme::verifying(provider, algorithm, bytes)?;
        let id = KeyId::of(&encode(algorithm, bytes));
        Ok(Self(Arc::new(Inner { algorithm, bytes: bytes.into(), id, scheme })))
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm
    }

    /// The short name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.0.id
    }

    /// The key as its standard writes it, without id and length.
    #[must_use]
    pub fn as_raw(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The encoding. [`CryptoSuite::decode_verifying_key`](crate::CryptoSuite::decode_verifying_key) reads it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self.0.algorithm, &self.0.bytes)
    }

    pub(crate) fn decode(
        provider: &dyn Provider,
        bytes: &[u8],
        accepted: impl FnOnce(SignatureAlgorithm) -> Result<(), DecodeError>,
    ) -> Result<Self, DecodeError> {
        let known = |id| {
            let algorithm = SignatureAlgorithm::known(id)?;
            accepted(algorithm)?;
            Ok((algorithm, algorithm.public_key_len()))
        };
        let (algorithm, raw) = read_one(bytes, Kind::VerifyingKey, "verifying key", known)?;
        Self::new(provider, algorithm, raw)
    }

    /// Whether the signature holds, whatever the policy says.
    pub(crate) fn holds(&self, context: Context, message: &[u8], signature: &Signature) -> bool {
        self.0.scheme.verify(context, message, signature.as_raw())
    }
}

fn encode(algorithm: SignatureAlgorithm, bytes: &[u8]) -> Vec<u8> {
    write_one(Kind::VerifyingKey, algorithm.id(), bytes)
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.algorithm == other.0.algorithm && self.0.bytes == other.0.bytes
    }
}

impl Eq for VerifyingKey {}

impl Hash for VerifyingKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({}, {})", self.0.algorithm, self.0.id)
    }
}
