//! X-Wing: X25519 and ML-KEM-768 by one implementation everywhere.

use x_wing::{Ciphertext, Decapsulate as _, DecapsulationKey, EncapsulationKey, KeyExport as _};
use zeroize::Zeroize as _;

use super::{PublicKem, SecretKem};
use crate::error::{KemError, ProviderError};
use crate::secret::{Secret, random};

struct Private {
    key: DecapsulationKey,
    public: Box<[u8]>,
}

struct Public(EncapsulationKey);

pub(super) fn secret(seed: &[u8]) -> Option<Box<dyn SecretKem>> {
    use x_wing::Decapsulator as _;
    let seed: [u8; 32] = seed.try_into().ok()?;
    let key = DecapsulationKey::from(seed);
    let public = key.encapsulation_key().to_bytes().as_slice().into();
    Some(Box::new(Private { key, public }))
}

pub(super) fn public(key: &[u8]) -> Option<Box<dyn PublicKem>> {
    Some(Box::new(Public(EncapsulationKey::try_from(key).ok()?)))
}

impl SecretKem for Private {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, KemError> {
        let failed = |_| ProviderError::new("x-wing", "reading an X-Wing ciphertext");
        let ciphertext = Ciphertext::try_from(ciphertext).map_err(failed)?;
        let mut secret = self.key.decapsulate(&ciphertext);
        let copy = Secret::from_bytes(secret.into());
        secret.zeroize();
        Ok(copy)
    }
}

impl PublicKem for Public {
    fn encapsulate(&self) -> Result<(Vec<u8>, Secret), KemError> {
        let randomness = random::<64>()?;
        let (ciphertext, mut secret) = self.0.encapsulate_deterministic((&*randomness).into());
        let copy = Secret::from_bytes(secret.into());
        secret.zeroize();
        Ok((ciphertext.to_vec(), copy))
    }
}
