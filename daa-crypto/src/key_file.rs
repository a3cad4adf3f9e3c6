//! Secret keys under a passphrase, as bytes and as files.

mod error;
#[cfg(not(target_arch = "wasm32"))]
mod place;
mod stored;
mod stretch;

use std::fmt;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce};
use zeroize::Zeroizing;

pub use error::KeyFileError;
pub use stored::StoredKey;
pub use stretch::{Argon2Params, Argon2ParamsError, Passphrase};

use crate::algorithm::{KemAlgorithm, SignatureAlgorithm, id};
use crate::encoding::{Kind, LENGTH, PREFIX, Reader, Writer, read_one};
use crate::error::DecodeError;
use crate::secret::random;
use crate::suite::CryptoSuite;

const SALT: usize = 16;
const TAG: usize = 16;

/// The key of the cipher is made of a fresh salt, so the nonce need not differ.
const NONCE: [u8; 12] = [0; 12];

/// A secret key, encrypted under a passphrase.
///
/// The public half is readable without the passphrase, and bound to the rest: a file whose public half was exchanged does
/// not unlock.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use daa_crypto::{Argon2Params, CryptoSuite, KeyFile, Passphrase, SignatureAlgorithm, SigningKey};
///
/// let suite = CryptoSuite::new();
/// let key = suite.generate_signing_key(SignatureAlgorithm::MlDsa65)?;
/// let passphrase = Passphrase::new("correct horse battery staple");
/// let file = KeyFile::lock(&key, &passphrase, Argon2Params::weakest())?;
/// let again: SigningKey = file.unlock(&suite, &passphrase)?;
/// assert_eq!(again.verifying_key(), key.verifying_key());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile {
    algorithm: u16,
    params: Argon2Params,
    salt: [u8; SALT],
    /// The encoding of the public half.
    public: Box<[u8]>,
    ciphertext: Box<[u8]>,
}

/// What is known of a key by its algorithm's id.
struct Shape {
    public_kind: Kind,
    /// Of the public key as its standard writes it.
    public_len: usize,
    seed_len: usize,
}

fn shape(id: u16) -> Result<Shape, DecodeError> {
    if let Some(algorithm) = SignatureAlgorithm::from_id(id) {
        let (public_len, seed_len) = (algorithm.public_key_len(), algorithm.seed_len());
        return Ok(Shape { public_kind: Kind::VerifyingKey, public_len, seed_len });
    }
    let algorithm = KemAlgorithm::known(id)?;
    let (public_len, seed_len) = (algorithm.public_key_len(), algorithm.seed_len());
    Ok(Shape { public_kind: Kind::EncapsulationKey, public_len, seed_len })
}

impl KeyFile {
    /// Bytes of the largest key file that is read.
    pub const MAX_LEN: usize = 64 * 1024;

    /// Encrypts a key. This takes the time and the memory that `params` says.
    ///
    /// # Errors
    /// [`KeyFileError::Randomness`], [`KeyFileError::Memory`].
    pub fn lock(
        key: &impl StoredKey,
        passphrase: &Passphrase,
        params: Argon2Params,
    ) -> Result<Self, KeyFileError> {
        let mut file = Self {
            algorithm: key.algorithm_id(),
            params,
            salt: *random::<SALT>()?,
            public: key.public_encoding().into(),
            ciphertext: Box::default(),
        };
        let seed = key.secret_seed();
        let payload = Payload { msg: seed, aad: &file.header().finish() };
        let ciphertext = file.cipher(passphrase)?.encrypt(&Nonce::from(NONCE), payload);
        // The cipher refuses only what is longer than 256 GiB.
        file.ciphertext = ciphertext.map_err(|_| KeyFileError::Rejected)?.into();
        Ok(file)
    }

    /// Decrypts the key. This takes the time and the memory that the file says, within bounds.
    ///
    /// # Errors
    /// [`KeyFileError::Rejected`] when the passphrase is another one or the file was changed;
    /// [`KeyFileError::OtherKind`] when it holds a key of another kind than asked for; [`KeyFileError::Decode`] when
    /// the policy refuses the algorithm; [`KeyFileError::Memory`].
    pub fn unlock<K: StoredKey>(
        &self,
        suite: &CryptoSuite,
        passphrase: &Passphrase,
    ) -> Result<K, KeyFileError> {
        K::check(suite, self.algorithm)?;
        let payload = Payload { msg: &self.ciphertext, aad: &self.header().finish() };
        let seed = self.cipher(passphrase)?.decrypt(&Nonce::from(NONCE), payload);
        let seed = Zeroizing::new(seed.map_err(|_| KeyFileError::Rejected)?);
        let key = K::restore(suite, self.algorithm, &seed)?;
        if key.public_encoding() != *self.public {
            return Err(KeyFileError::Rejected);
        }
        Ok(key)
    }

    /// The encoding of the public half: of a [`VerifyingKey`](crate::VerifyingKey) or an
    /// [`EncapsulationKey`](crate::EncapsulationKey).
    #[must_use]
    pub fn public_encoding(&self) -> &[u8] {
        &self.public
    }

    /// What stretching the passphrase costs.
    #[must_use]
    pub const fn params(&self) -> Argon2Params {
        self.params
    }

    /// The encoding, which is what a file holds.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.header().field(&self.ciphertext).finish()
    }

    /// Reads an encoding. Nothing is decrypted, and nothing secret is needed.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut reader, algorithm) = Reader::open(bytes, Kind::KeyFile)?;
        let shape = shape(algorithm)?;
        reader.only(id::ARGON2ID)?;
        let params = Argon2Params::new(reader.u32()?, reader.u32()?, reader.u32()?)?;
        reader.only(id::CHACHA20_POLY1305)?;
        let salt = reader.fixed()?;
        let public = reader.field("public key", shape.public_len.saturating_add(PREFIX + LENGTH))?;
        read_one(public, shape.public_kind, "public key", |of| {
            if of != algorithm {
                return Err(DecodeError::Inconsistent { field: "public key" });
            }
            Ok(((), shape.public_len))
        })?;
        let ciphertext = reader.field("encrypted key", shape.seed_len.saturating_add(TAG))?;
        reader.finish()?;
        Ok(Self { algorithm, params, salt, public: public.into(), ciphertext: ciphertext.into() })
    }

    /// Everything before the ciphertext; the cipher authenticates it.
    fn header(&self) -> Writer {
        Writer::new(Kind::KeyFile, self.algorithm, self.public.len().saturating_add(128))
            .u16(id::ARGON2ID)
            .u32(self.params.memory_kib())
            .u32(self.params.passes())
            .u32(self.params.lanes())
            .u16(id::CHACHA20_POLY1305)
            .fixed(&self.salt)
            .field(&self.public)
    }

    fn cipher(&self, passphrase: &Passphrase) -> Result<ChaCha20Poly1305, KeyFileError> {
        let key = self.params.stretch(passphrase, &self.salt)?;
        Ok(ChaCha20Poly1305::new(key.as_bytes().into()))
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile(algorithm {:#06x}, {:?})", self.algorithm, self.params)
    }
}
