//! Key encapsulation: a public key to which anyone can send a fresh secret.

#[cfg(feature = "hqc")]
mod hqc;
mod ml_kem;
mod x_wing;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::algorithm::KemAlgorithm;
use crate::encoding::{Kind, read_one, write_one};
use crate::error::{Algorithm, DecodeError, KemError, KeyError, LengthError, ProviderError};
use crate::key_id::KeyId;
use crate::provider::{MlKem, Provider};
use crate::secret::{Secret, Seed};

/// A secret key that decapsulates.
trait SecretKem: Send + Sync {
    fn public_key(&self) -> &[u8];

    /// The ciphertext has the right length.
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, KemError>;
}

/// A public key that encapsulates.
trait PublicKem: Send + Sync {
    fn encapsulate(&self) -> Result<(Vec<u8>, Secret), KemError>;
}

fn secret_kem(
    provider: &dyn Provider,
    algorithm: KemAlgorithm,
    seed: &[u8],
) -> Result<Box<dyn SecretKem>, KeyError> {
    let wrong_length = KeyError::SeedLength {
        algorithm: Algorithm::Kem(algorithm),
        expected: algorithm.seed_len(),
        found: seed.len(),
    };
    let kem: Option<Result<Box<dyn SecretKem>, ProviderError>> = match algorithm {
        KemAlgorithm::MlKem768 => ml_kem::secret(provider, MlKem::MlKem768, seed),
        KemAlgorithm::MlKem1024 => ml_kem::secret(provider, MlKem::MlKem1024, seed),
        KemAlgorithm::XWing => x_wing::secret(seed).map(Ok),
        #[cfg(feature = "hqc")]
        KemAlgorithm::X25519Hqc192 => hqc::secret(seed).map(Ok),
    };
    Ok(kem.ok_or(wrong_length)??)
}

fn public_kem(
    provider: &dyn Provider,
    algorithm: KemAlgorithm,
    key: &[u8],
) -> Result<Box<dyn PublicKem>, DecodeError> {
    let kem: Option<Box<dyn PublicKem>> = match algorithm {
        KemAlgorithm::MlKem768 => ml_kem::public(provider, MlKem::MlKem768, key),
        KemAlgorithm::MlKem1024 => ml_kem::public(provider, MlKem::MlKem1024, key),
        KemAlgorithm::XWing => x_wing::public(key),
        #[cfg(feature = "hqc")]
        KemAlgorithm::X25519Hqc192 => hqc::public(key),
    };
    kem.ok_or(DecodeError::InvalidKey { algorithm: Algorithm::Kem(algorithm) })
}

/// A secret key that opens what was sealed or encapsulated to its public half.
///
/// Made by [`CryptoSuite::generate_decapsulation_key`](crate::CryptoSuite::generate_decapsulation_key), or unlocked from
/// a [`KeyFile`](crate::KeyFile). It is wiped when dropped, and does not show itself.
pub struct DecapsulationKey {
    algorithm: KemAlgorithm,
    seed: Seed,
    kem: Box<dyn SecretKem>,
    public: EncapsulationKey,
}

impl DecapsulationKey {
    pub(crate) fn from_seed(
        provider: &dyn Provider,
        algorithm: KemAlgorithm,
        seed: Seed,
    ) -> Result<Self, KeyError> {
        let kem = secret_kem(provider, algorithm, seed.as_slice())?;
        let failed = |_| ProviderError::new(provider.name(), "reading its own public key");
        let public = EncapsulationKey::new(provider, algorithm, kem.public_key()).map_err(failed)?;
        Ok(Self { algorithm, seed, kem, public })
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> KemAlgorithm {
        self.algorithm
    }

    /// The public half.
    #[must_use]
    pub const fn encapsulation_key(&self) -> &EncapsulationKey {
        &self.public
    }

    pub(crate) const fn seed(&self) -> &Seed {
        &self.seed
    }

    pub(crate) fn decapsulate(&self, ciphertext: &KemCiphertext) -> Result<Secret, KemError> {
        if ciphertext.algorithm != self.algorithm {
            return Err(KemError::OtherAlgorithm { key: self.algorithm, ciphertext: ciphertext.algorithm });
        }
        self.kem.decapsulate(&ciphertext.bytes)
    }
}

impl fmt::Debug for DecapsulationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecapsulationKey({}, {})", self.algorithm, self.public.id())
    }
}

/// A public key to seal or encapsulate to. Cheap to clone.
#[derive(Clone)]
pub struct EncapsulationKey(Arc<Inner>);

struct Inner {
    algorithm: KemAlgorithm,
    bytes: Box<[u8]>,
    id: KeyId,
    kem: Box<dyn PublicKem>,
}

impl EncapsulationKey {
    fn new(provider: &dyn Provider, algorithm: KemAlgorithm, bytes: &[u8]) -> Result<Self, DecodeError> {
        let kem = public_kem(provider, algorithm, bytes)?;
        let id = KeyId::of(&encode(Kind::EncapsulationKey, algorithm, bytes));
        Ok(Self(Arc::new(Inner { algorithm, bytes: bytes.into(), id, kem })))
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> KemAlgorithm {
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

    /// The encoding. [`CryptoSuite::decode_encapsulation_key`](crate::CryptoSuite::decode_encapsulation_key) reads it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(Kind::EncapsulationKey, self.0.algorithm, &self.0.bytes)
    }

    pub(crate) fn decode(
        provider: &dyn Provider,
        bytes: &[u8],
        accepted: impl FnOnce(KemAlgorithm) -> Result<(), DecodeError>,
    ) -> Result<Self, DecodeError> {
        let known = |id| {
            let algorithm = KemAlgorithm::known(id)?;
            accepted(algorithm)?;
            Ok((algorithm, algorithm.public_key_len()))
        };
        let (algorithm, raw) = read_one(bytes, Kind::EncapsulationKey, "encapsulation key", known)?;
        Self::new(provider, algorithm, raw)
    }

    pub(crate) fn encapsulate(&self) -> Result<(KemCiphertext, Secret), KemError> {
        let (bytes, secret) = self.0.kem.encapsulate()?;
        Ok((KemCiphertext { algorithm: self.0.algorithm, bytes: bytes.into() }, secret))
    }
}

impl PartialEq for EncapsulationKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.algorithm == other.0.algorithm && self.0.bytes == other.0.bytes
    }
}

impl Eq for EncapsulationKey {}

impl Hash for EncapsulationKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl fmt::Debug for EncapsulationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncapsulationKey({}, {})", self.0.algorithm, self.0.id)
    }
}

fn encode(kind: Kind, algorithm: KemAlgorithm, bytes: &[u8]) -> Vec<u8> {
    write_one(kind, algorithm.id(), bytes)
}

/// What encapsulation sends: the holder of the secret key gets the shared secret from it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KemCiphertext {
    algorithm: KemAlgorithm,
    bytes: Box<[u8]>,
}

impl KemCiphertext {
    /// Wraps a ciphertext as its standard writes it.
    ///
    /// # Errors
    /// [`LengthError`] when the algorithm's ciphertexts have another length.
    pub fn from_raw(algorithm: KemAlgorithm, bytes: &[u8]) -> Result<Self, LengthError> {
        let expected = algorithm.ciphertext_len();
        if bytes.len() != expected {
            return Err(LengthError { what: "KEM ciphertext", expected, found: bytes.len() });
        }
        Ok(Self { algorithm, bytes: bytes.into() })
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> KemAlgorithm {
        self.algorithm
    }

    /// The ciphertext as its standard writes it, without id and length.
    #[must_use]
    pub fn as_raw(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoding. [`CryptoSuite::decode_kem_ciphertext`](crate::CryptoSuite::decode_kem_ciphertext) reads it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(Kind::KemCiphertext, self.algorithm, &self.bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let known = |id| KemAlgorithm::known(id).map(|algorithm| (algorithm, algorithm.ciphertext_len()));
        let (algorithm, raw) = read_one(bytes, Kind::KemCiphertext, "KEM ciphertext", known)?;
        Ok(Self { algorithm, bytes: raw.into() })
    }
}

impl fmt::Debug for KemCiphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KemCiphertext({}, {} bytes)", self.algorithm, self.bytes.len())
    }
}
