//! Digests that say which hash they are of.

use std::fmt;

use sha2::{Sha256, Sha384, Sha512};

use crate::encoding::{Kind, LENGTH, Reader, Writer};
use crate::error::DecodeError;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// SHA-256 of FIPS 180-4.
    Sha256,
    /// SHA-384 of FIPS 180-4.
    Sha384,
    /// SHA-512 of FIPS 180-4.
    Sha512,
    /// BLAKE3 with 32 bytes of output.
    Blake3,
}

impl DigestAlgorithm {
    /// All of them, in the order of their ids.
    pub const ALL: &'static [Self] = &[Self::Sha256, Self::Sha384, Self::Sha512, Self::Blake3];

    /// The id in encodings.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::Sha256 => 0x0501,
            Self::Sha384 => 0x0502,
            Self::Sha512 => 0x0503,
            Self::Blake3 => 0x0511,
        }
    }

    /// The algorithm of this id, if there is one.
    #[must_use]
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.id() == id)
    }

    /// Bytes of a digest.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Hashes bytes at once.
    #[must_use]
    pub fn digest(self, bytes: &[u8]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Begins to hash bytes that come in parts.
    #[must_use]
    pub fn hasher(self) -> Hasher {
        use sha2::Digest as _;
        Hasher(match self {
            Self::Sha256 => State::Sha256(Sha256::new()),
            Self::Sha384 => State::Sha384(Sha384::new()),
            Self::Sha512 => State::Sha512(Sha512::new()),
            Self::Blake3 => State::Blake3(Box::default()),
        })
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Blake3 => "blake3",
        })
    }
}

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
    Blake3(Box<blake3::Hasher>),
}

/// Hashes bytes that come in parts.
#[derive(Clone)]
pub struct Hasher(State);

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        use sha2::Digest as _;
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha384(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
            State::Blake3(state) => drop(state.update(bytes)),
        }
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn finish(self) -> Digest {
        use sha2::Digest as _;
        let (algorithm, bytes): (_, Box<[u8]>) = match self.0 {
            State::Sha256(state) => (DigestAlgorithm::Sha256, state.finalize().as_slice().into()),
            State::Sha384(state) => (DigestAlgorithm::Sha384, state.finalize().as_slice().into()),
            State::Sha512(state) => (DigestAlgorithm::Sha512, state.finalize().as_slice().into()),
            State::Blake3(state) => (DigestAlgorithm::Blake3, state.finalize().as_bytes().as_slice().into()),
        };
        Digest { algorithm, bytes }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(..)")
    }
}

/// A digest and its hash function. Shown as `sha256:` and lower-case hexadecimal digits.
///
/// ```
/// use daa_crypto::DigestAlgorithm;
///
/// let digest = DigestAlgorithm::Sha256.digest(b"abc");
/// assert!(digest.to_string().starts_with("sha256:ba7816bf"));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    bytes: Box<[u8]>,
}

impl Digest {
    /// The hash function.
    #[must_use]
    pub const fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let len = self.bytes.len().saturating_add(LENGTH);
        Writer::new(Kind::Digest, self.algorithm.id(), len).field(&self.bytes).finish()
    }

    /// Reads an encoding.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut reader, id) = Reader::open(bytes, Kind::Digest)?;
        let algorithm = DigestAlgorithm::from_id(id).ok_or(DecodeError::UnknownAlgorithm { found: id })?;
        let raw = reader.field("digest", algorithm.digest_len())?;
        reader.finish()?;
        Ok(Self { algorithm, bytes: raw.into() })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.algorithm)?;
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
