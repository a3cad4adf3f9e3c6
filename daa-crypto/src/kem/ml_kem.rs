//! ML-KEM by the provider.

use super::{PublicKem, SecretKem};
use crate::error::{KemError, ProviderError};
use crate::provider::{MlKem, MlKemDecapsulator, MlKemEncapsulator, Provider};
use crate::secret::Secret;

struct Private(Box<dyn MlKemDecapsulator>);

struct Public(Box<dyn MlKemEncapsulator>);

pub(super) fn secret(
    provider: &dyn Provider,
    set: MlKem,
    seed: &[u8],
) -> Option<Result<Box<dyn SecretKem>, ProviderError>> {
    let key = provider.ml_kem_decapsulator(set, seed.try_into().ok()?);
    Some(key.map(|key| Box::new(Private(key)) as Box<dyn SecretKem>))
}

pub(super) fn public(provider: &dyn Provider, set: MlKem, key: &[u8]) -> Option<Box<dyn PublicKem>> {
    let key = provider.ml_kem_encapsulator(set, key).ok()?;
    Some(Box::new(Public(key)))
}

impl SecretKem for Private {
    fn public_key(&self) -> &[u8] {
        self.0.public_key()
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, KemError> {
        Ok(self.0.decapsulate(ciphertext)?)
    }
}

impl PublicKem for Public {
    fn encapsulate(&self) -> Result<(Vec<u8>, Secret), KemError> {
        Ok(self.0.encapsulate()?)
    }
}
