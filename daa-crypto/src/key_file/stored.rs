//! Which keys a key file can hold.

use super::KeyFileError;
use crate::algorithm::{KemAlgorithm, SignatureAlgorithm};
use crate::error::DecodeError;
use crate::kem::DecapsulationKey;
use crate::secret::Seed;
use crate::signing_key::SigningKey;
use crate::suite::CryptoSuite;

/// A secret key that a [`KeyFile`](super::KeyFile) can hold: a [`SigningKey`] or a [`DecapsulationKey`].
pub trait StoredKey: Storage {}

impl StoredKey for SigningKey {}
impl StoredKey for DecapsulationKey {}

/// How a key is stored: not to be named, so that nobody else implements it.
#[expect(unnameable_types, reason = "the trait is sealed")]
pub trait Storage: Sized {
    fn algorithm_id(&self) -> u16;
    fn secret_seed(&self) -> &[u8];
    fn public_encoding(&self) -> Vec<u8>;
    fn check(suite: &CryptoSuite, algorithm: u16) -> Result<(), KeyFileError>;
    fn restore(suite: &CryptoSuite, algorithm: u16, seed: &[u8]) -> Result<Self, KeyFileError>;
}

impl Storage for SigningKey {
    fn algorithm_id(&self) -> u16 {
        self.algorithm().id()
    }

    fn secret_seed(&self) -> &[u8] {
        self.seed().as_slice()
    }

    fn public_encoding(&self) -> Vec<u8> {
        self.verifying_key().encode()
    }

    fn check(suite: &CryptoSuite, algorithm: u16) -> Result<(), KeyFileError> {
        let algorithm =
            SignatureAlgorithm::from_id(algorithm).ok_or(KeyFileError::OtherKind { algorithm })?;
        Ok(suite.policy().check_signature(algorithm).map_err(DecodeError::from)?)
    }

    fn restore(suite: &CryptoSuite, algorithm: u16, seed: &[u8]) -> Result<Self, KeyFileError> {
        let algorithm =
            SignatureAlgorithm::from_id(algorithm).ok_or(KeyFileError::OtherKind { algorithm })?;
        Ok(Self::from_seed(suite.provider(), algorithm, Seed::new(seed))?)
    }
}

impl Storage for DecapsulationKey {
    fn algorithm_id(&self) -> u16 {
        self.algorithm().id()
    }

    fn secret_seed(&self) -> &[u8] {
        self.seed().as_slice()
    }

    fn public_encoding(&self) -> Vec<u8> {
        self.encapsulation_key().encode()
    }

    fn check(suite: &CryptoSuite, algorithm: u16) -> Result<(), KeyFileError> {
        let algorithm = KemAlgorithm::from_id(algorithm).ok_or(KeyFileError::OtherKind { algorithm })?;
        Ok(suite.policy().check_kem(algorithm).map_err(DecodeError::from)?)
    }

    fn restore(suite: &CryptoSuite, algorithm: u16, seed: &[u8]) -> Result<Self, KeyFileError> {
        let algorithm = KemAlgorithm::from_id(algorithm).ok_or(KeyFileError::OtherKind { algorithm })?;
        Ok(Self::from_seed(suite.provider(), algorithm, Seed::new(seed))?)
    }
}
