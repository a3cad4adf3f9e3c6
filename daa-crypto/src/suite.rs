//! Everything in one place: a provider, and a policy that is asked first.

use std::fmt;
use std::io::{self, Read, Write};
use std::num::NonZeroU64;
use std::sync::Arc;

use rand_core::CryptoRng;

use crate::algorithm::{KemAlgorithm, SignatureAlgorithm};
use crate::context::Context;
use crate::error::{DecodeError, KemError, KeyError, VerifyError};
use crate::kem::{DecapsulationKey, EncapsulationKey, KemCiphertext};
use crate::key_id::KeyId;
use crate::policy::Policy;
use crate::provider::{Provider, default_provider};
use crate::rotation::{Rotation, RotationError};
use crate::sealed::{self, OpenError, OpenReader, SealError, SealWriter, StreamOpener, StreamSealer};
use crate::secret::{Secret, Seed, fill};
use crate::signature::Signature;
use crate::signing_key::{SigningKey, VerifyingKey};

/// Rotations that are followed at once.
const MAX_ROTATIONS: usize = 1024;

/// Keys, signatures, key encapsulation and sealed messages, with one provider and one policy.
///
/// Cheap to clone. Bytes from outside become keys and signatures only here, so that the policy sees their algorithms.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use daa_crypto::{Context, CryptoSuite, SignatureAlgorithm};
///
/// const OFFER: Context = Context::new("my-protocol offer v1");
/// let suite = CryptoSuite::new();
/// let key = suite.generate_signing_key(SignatureAlgorithm::MlDsa65)?;
/// let signature = key.sign(OFFER, b"a hundred tokens")?;
///
/// let public = suite.decode_verifying_key(&key.verifying_key().encode())?;
/// suite.verify(&public, OFFER, b"a hundred tokens", &signature)?;
/// assert!(suite.verify(&public, OFFER, b"a thousand tokens", &signature).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CryptoSuite {
    provider: Arc<dyn Provider>,
    policy: Policy,
}

impl Default for CryptoSuite {
    fn default() -> Self {
        Self::new()
    }
}

impl CryptoSuite {
    /// The fastest provider of this build, and the default policy.
    #[must_use]
    pub fn new() -> Self {
        Self { provider: default_provider(), policy: Policy::default() }
    }

    /// With another policy.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// With another provider.
    #[must_use]
    pub fn with_provider(self, provider: Arc<dyn Provider>) -> Self {
        Self { provider, ..self }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &dyn Provider {
        &*self.provider
    }
}

/// Signatures.
impl CryptoSuite {
    /// Makes a signing key with randomness of the operating system.
    ///
    /// # Errors
    /// [`KeyError::NotAccepted`], [`KeyError::Randomness`].
    pub fn generate_signing_key(&self, algorithm: SignatureAlgorithm) -> Result<SigningKey, KeyError> {
        let mut seed = Seed::zeros(algorithm.seed_len());
        fill(seed.as_mut())?;
        self.signing_key(algorithm, seed)
    }

    /// Makes a signing key with randomness of the caller's: the same of the same randomness, with every provider.
    ///
    /// # Errors
    /// [`KeyError::NotAccepted`].
    pub fn generate_signing_key_with(
        &self,
        algorithm: SignatureAlgorithm,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SigningKey, KeyError> {
        let mut seed = Seed::zeros(algorithm.seed_len());
        rng.fill_bytes(seed.as_mut());
        self.signing_key(algorithm, seed)
    }

    /// Makes the signing key of a seed, as the standards say: ξ of ML-DSA; `SK.seed`, `SK.prf` and `PK.seed` of SLH-DSA;
    /// the private key of Ed25519; of a composite the seed of ML-DSA and then that of Ed25519. The seed must be uniform.
    ///
    /// # Errors
    /// [`KeyError::NotAccepted`], [`KeyError::SeedLength`].
    pub fn signing_key_from_seed(
        &self,
        algorithm: SignatureAlgorithm,
        seed: &[u8],
    ) -> Result<SigningKey, KeyError> {
        self.signing_key(algorithm, Seed::new(seed))
    }

    fn signing_key(&self, algorithm: SignatureAlgorithm, seed: Seed) -> Result<SigningKey, KeyError> {
        self.policy.check_signature(algorithm)?;
        SigningKey::from_seed(self.provider(), algorithm, seed)
    }

    /// Reads a public key that verifies.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode_verifying_key(&self, bytes: &[u8]) -> Result<VerifyingKey, DecodeError> {
        let accepted = |algorithm| Ok(self.policy.check_signature(algorithm)?);
        VerifyingKey::decode(self.provider(), bytes, accepted)
    }

    /// Reads a signature.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode_signature(&self, bytes: &[u8]) -> Result<Signature, DecodeError> {
        let signature = Signature::decode(bytes)?;
        self.policy.check_signature(signature.algorithm())?;
        Ok(signature)
    }

    /// Checks that the holder of a key signed this message for this use.
    ///
    /// # Errors
    /// [`VerifyError`]: anything but `Ok` means that the message is not to be believed.
    pub fn verify(
        &self,
        key: &VerifyingKey,
        context: Context,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), VerifyError> {
        self.policy.check_signature(key.algorithm())?;
        let (of_key, of_signature) = (key.algorithm(), signature.algorithm());
        if of_key != of_signature {
            return Err(VerifyError::OtherAlgorithm { key: of_key, signature: of_signature });
        }
        key.holds(context, message, signature).then_some(()).ok_or(VerifyError::Invalid)
    }
}

/// Key encapsulation.
impl CryptoSuite {
    /// Makes a decapsulation key with randomness of the operating system.
    ///
    /// # Errors
    /// [`KeyError::NotAccepted`], [`KeyError::Randomness`].
    pub fn generate_decapsulation_key(&self, algorithm: KemAlgorithm) -> Result<DecapsulationKey, KeyError> {
        let mut seed = Seed::zeros(algorithm.seed_len());
        fill(seed.as_mut())?;
        self.decapsulation_key(algorithm, seed)
    }

    /// Makes a decapsulation key with randomness of the caller's: the same of the same randomness, with every provider.
    ///
    /// # Errors
    /// [`KeyError::NotAccepted`].
    pub fn generate_decapsulation_key_with(
        &self,
        algorithm: KemAlgorithm,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<DecapsulationKey, KeyError> {
        let mut seed = Seed::zeros(algorithm.seed_len());
        rng.fill_bytes(seed.as_mut());
        self.decapsulation_key(algorithm, seed)
    }

    /// Makes the decapsulation key of a seed, as the standards say: *d* and then *z* of ML-KEM, the 32 bytes of X-Wing. The
    /// seed must be uniform.
    ///
    /// # Errors
    /// [`KeyError::NotAccepted`], [`KeyError::SeedLength`].
    pub fn decapsulation_key_from_seed(
        &self,
        algorithm: KemAlgorithm,
        seed: &[u8],
    ) -> Result<DecapsulationKey, KeyError> {
        self.decapsulation_key(algorithm, Seed::new(seed))
    }

    fn decapsulation_key(&self, algorithm: KemAlgorithm, seed: Seed) -> Result<DecapsulationKey, KeyError> {
        self.policy.check_kem(algorithm)?;
        DecapsulationKey::from_seed(self.provider(), algorithm, seed)
    }

    /// Reads a public key to encapsulate to.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode_encapsulation_key(&self, bytes: &[u8]) -> Result<EncapsulationKey, DecodeError> {
        let accepted = |algorithm| Ok(self.policy.check_kem(algorithm)?);
        EncapsulationKey::decode(self.provider(), bytes, accepted)
    }

    /// Reads a ciphertext.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode_kem_ciphertext(&self, bytes: &[u8]) -> Result<KemCiphertext, DecodeError> {
        let ciphertext = KemCiphertext::decode(bytes)?;
        self.policy.check_kem(ciphertext.algorithm())?;
        Ok(ciphertext)
    }

    /// Sends a fresh secret to the holder of a key. Derive keys from it, with [`HkdfSha256`](crate::HkdfSha256), rather than
    /// use it as one.
    ///
    /// # Errors
    /// [`KemError`].
    pub fn encapsulate(&self, to: &EncapsulationKey) -> Result<(KemCiphertext, Secret), KemError> {
        self.policy.check_kem(to.algorithm())?;
        to.encapsulate()
    }

    /// The secret that was sent. Of a ciphertext that was changed it is another one, never an error: what is done with it
    /// then fails.
    ///
    /// # Errors
    /// [`KemError`].
    pub fn decapsulate(
        &self,
        key: &DecapsulationKey,
        ciphertext: &KemCiphertext,
    ) -> Result<Secret, KemError> {
        self.policy.check_kem(key.algorithm())?;
        key.decapsulate(ciphertext)
    }
}

/// Sealed messages and streams. They say nothing of who sealed them: sign before sealing where that matters.
impl CryptoSuite {
    /// Seals a message of up to 64 MiB. `associated` is authenticated and not sent.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(
        &self,
        to: &EncapsulationKey,
        context: Context,
        associated: &[u8],
        message: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.policy.check_kem(to.algorithm())?;
        sealed::seal(to, context, associated, message)
    }

    /// Opens a sealed message.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &self,
        key: &DecapsulationKey,
        context: Context,
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        sealed::open(&self.policy, key, context, associated, sealed)
    }

    /// Seals what is written, up to 256 TiB, in the memory of one chunk.
    ///
    /// # Errors
    /// Those of the writer; [`SealError`] inside an [`io::Error`].
    pub fn seal_to<W: Write>(
        &self,
        to: &EncapsulationKey,
        context: Context,
        writer: W,
    ) -> io::Result<SealWriter<W>> {
        SealWriter::new(self.stream_sealer(to, context)?, writer)
    }

    /// Opens what is read, in the memory of two chunks.
    ///
    /// # Errors
    /// Those of the reader; [`OpenError`] inside an [`io::Error`].
    pub fn open_from<R: Read>(
        &self,
        key: &DecapsulationKey,
        context: Context,
        reader: R,
    ) -> io::Result<OpenReader<R>> {
        OpenReader::new(&self.policy, key, context, reader)
    }

    /// Seals a stream chunk by chunk, for who does the writing.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn stream_sealer(&self, to: &EncapsulationKey, context: Context) -> Result<StreamSealer, SealError> {
        self.policy.check_kem(to.algorithm())?;
        StreamSealer::new(to, context)
    }

    /// Opens a stream chunk by chunk, for who does the reading. `header` is what [`StreamSealer::header`] gave.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn stream_opener(
        &self,
        key: &DecapsulationKey,
        context: Context,
        header: &[u8],
    ) -> Result<StreamOpener, OpenError> {
        StreamOpener::new(&self.policy, key, context, header)
    }
}

/// Rotation of signing keys.
impl CryptoSuite {
    /// Reads a rotation.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode_rotation(&self, bytes: &[u8]) -> Result<Rotation, DecodeError> {
        Rotation::decode(self.provider(), &self.policy, bytes)
    }

    /// Checks the rotation of this number, of the identity that began with `first`, by the key that is trusted so far; and
    /// gives the key to trust from now on.
    ///
    /// # Errors
    /// [`RotationError`].
    pub fn verify_rotation(
        &self,
        first: KeyId,
        trusted: &VerifyingKey,
        number: NonZeroU64,
        rotation: &Rotation,
    ) -> Result<VerifyingKey, RotationError> {
        rotation.verify(&self.policy, first, trusted, number.get())?;
        Ok(rotation.new_key().clone())
    }

    /// Follows an identity from its first key through all its rotations, at most 1,024, to the key to trust now.
    ///
    /// # Errors
    /// [`RotationError`] of the first that does not hold.
    pub fn follow(
        &self,
        first: &VerifyingKey,
        rotations: &[Rotation],
    ) -> Result<VerifyingKey, RotationError> {
        if rotations.len() > MAX_ROTATIONS {
            return Err(RotationError::TooMany { max: MAX_ROTATIONS, found: rotations.len() });
        }
        let mut trusted = first.clone();
        for (number, rotation) in (1..).zip(rotations) {
            rotation.verify(&self.policy, first.id(), &trusted, number)?;
            trusted = rotation.new_key().clone();
        }
        Ok(trusted)
    }
}

impl fmt::Debug for CryptoSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CryptoSuite").field("provider", &self.provider).field("policy", &self.policy).finish()
    }
}
