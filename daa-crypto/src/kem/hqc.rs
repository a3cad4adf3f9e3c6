//! X25519 and HQC-192, joined: safe while either holds, and independent of lattices.
//!
//! The secret is the universal combiner of draft-irtf-cfrg-hybrid-kems, which asks nothing of either half but that it is
//! secure:
//!
//! ```text
//! SHA3-256(ss_HQC | ss_X25519 | ct_HQC | ct_X25519 | ek_HQC | ek_X25519 | label)
//! ```
//!
//! HQC is a draft of FIPS 207. What the standard will say may differ; it will then be another algorithm with another id.

use hqc_kem::hqc192;
use sha3::{Digest as _, Sha3_256};
use x25519_dalek::{PublicKey, StaticSecret};

use super::{PublicKem, SecretKem};
use crate::error::{KemError, ProviderError};
use crate::secret::{Secret, random};

const LABEL: &[u8] = b"daa-crypto X25519-HQC-192 draft v1";

struct Private {
    hqc: hqc192::DecapsulationKey,
    x25519: StaticSecret,
    public: Box<[u8]>,
}

struct Public {
    hqc: hqc192::EncapsulationKey,
    x25519: PublicKey,
    bytes: Box<[u8]>,
}

/// The seed is that of HQC, then the secret scalar of X25519.
pub(super) fn secret(seed: &[u8]) -> Option<Box<dyn SecretKem>> {
    let (hqc, x25519) = seed.split_first_chunk::<32>()?;
    let x25519: [u8; 32] = x25519.try_into().ok()?;
    let (public, hqc) = hqc192::generate_key_deterministic(hqc);
    let x25519 = StaticSecret::from(x25519);
    let public = [public.as_ref(), PublicKey::from(&x25519).as_bytes()].concat().into();
    Some(Box::new(Private { hqc, x25519, public }))
}

pub(super) fn public(key: &[u8]) -> Option<Box<dyn PublicKem>> {
    let (hqc, x25519) = key.split_at_checked(hqc192::PUBLIC_KEY_SIZE)?;
    let hqc = hqc192::EncapsulationKey::try_from(hqc).ok()?;
    let x25519 = PublicKey::from(<[u8; 32]>::try_from(x25519).ok()?);
    Some(Box::new(Public { hqc, x25519, bytes: key.into() }))
}

fn combine(hqc: &[u8], x25519: &[u8], ciphertext: &[u8], public: &[u8]) -> Secret {
    let mut hash = Sha3_256::new();
    for part in [hqc, x25519, ciphertext, public, LABEL] {
        hash.update(part);
    }
    Secret::from_bytes(hash.finalize().into())
}

impl SecretKem for Private {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, KemError> {
        let failed = || ProviderError::new("hqc-kem", "reading an X25519-HQC-192 ciphertext");
        let (hqc, x25519) = ciphertext.split_at_checked(hqc192::CIPHERTEXT_SIZE).ok_or_else(failed)?;
        let hqc = hqc192::Ciphertext::try_from(hqc).map_err(|_| failed())?;
        let x25519 = <[u8; 32]>::try_from(x25519).map_err(|_| failed())?;
        let hqc = self.hqc.decapsulate(&hqc);
        let x25519 = self.x25519.diffie_hellman(&PublicKey::from(x25519));
        Ok(combine(hqc.as_ref(), x25519.as_bytes(), ciphertext, &self.public))
    }
}

impl PublicKem for Public {
    fn encapsulate(&self) -> Result<(Vec<u8>, Secret), KemError> {
        let failed = |_| ProviderError::new("hqc-kem", "HQC encapsulation");
        let message = random::<{ hqc192::MESSAGE_SIZE }>()?;
        let salt = random::<{ hqc192::SALT_SIZE }>()?;
        let (hqc_ciphertext, hqc) =
            self.hqc.encapsulate_deterministic(message.as_slice(), &salt).map_err(failed)?;
        let ephemeral = StaticSecret::from(*random::<32>()?);
        let x25519 = ephemeral.diffie_hellman(&self.x25519);
        let ciphertext = [hqc_ciphertext.as_ref(), PublicKey::from(&ephemeral).as_bytes()].concat();
        let secret = combine(hqc.as_ref(), x25519.as_bytes(), &ciphertext, &self.bytes);
        Ok((ciphertext, secret))
    }
}
