//! Signatures.

use std::fmt;

use crate::algorithm::SignatureAlgorithm;
use crate::encoding::{Kind, read_one, write_one};
use crate::error::{DecodeError, LengthError};

/// A signature and its algorithm.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    algorithm: SignatureAlgorithm,
    bytes: Box<[u8]>,
}

impl Signature {
    /// Wraps the bytes that a signer made, for who implements [`Signer`](crate::Signer).
    ///
    /// # Errors
    /// [`LengthError`] when the algorithm's signatures have another length.
    pub fn from_raw(algorithm: SignatureAlgorithm, bytes: &[u8]) -> Result<Self, LengthError> {
        let expected = algorithm.signature_len();
        if bytes.len() != expected {
            return Err(LengthError { what: "signature", expected, found: bytes.len() });
        }
        Ok(Self { algorithm, bytes: bytes.into() })
    }

    pub(crate) fn new(algorithm: SignatureAlgorithm, bytes: Vec<u8>) -> Self {
        Self { algorithm, bytes: bytes.into() }
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The signature as its standard writes it, without id and length.
    #[must_use]
    pub fn as_raw(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoding. [`CryptoSuite::decode_signature`](crate::CryptoSuite::decode_signature) reads it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write_one(Kind::Signature, self.algorithm.id(), &self.bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let known =
            |id| SignatureAlgorithm::known(id).map(|algorithm| (algorithm, algorithm.signature_len()));
        let (algorithm, raw) = read_one(bytes, Kind::Signature, "signature", known)?;
        Ok(Self { algorithm, bytes: raw.into() })
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}, {} bytes)", self.algorithm, self.bytes.len())
    }
}
