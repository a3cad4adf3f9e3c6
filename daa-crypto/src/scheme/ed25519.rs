//! Ed25519 with strict verification, by one implementation everywhere.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::{SigningScheme, VerifyingScheme, framed};
use crate::algorithm::SignatureAlgorithm;
use crate::context::Context;
use crate::error::SignError;

struct Signing {
    key: SigningKey,
    public: [u8; 32],
}

struct Verifying(VerifyingKey);

pub(super) fn signing(seed: &[u8]) -> Option<Box<dyn SigningScheme>> {
    let key = SigningKey::from_bytes(seed.try_into().ok()?);
    let public = key.verifying_key().to_bytes();
    Some(Box::new(Signing { key, public }))
}

pub(super) fn verifying(key: &[u8]) -> Option<Box<dyn VerifyingScheme>> {
    Some(Box::new(Verifying(public_key(key)?)))
}

/// A point on the curve, not of small order, and written as RFC 8032 says, so that no key has two encodings.
pub(super) fn public_key(key: &[u8]) -> Option<VerifyingKey> {
    let bytes: &[u8; 32] = key.try_into().ok()?;
    let key = VerifyingKey::from_bytes(bytes).ok()?;
    let canonical = key.to_edwards().compress().to_bytes() == *bytes;
    (canonical && !key.is_weak()).then_some(key)
}

/// Whether the signature verifies: without cofactor, with a reduced scalar, and with no point of small order.
pub(super) fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
}

impl SigningScheme for Signing {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, context: Context, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let framed = framed(SignatureAlgorithm::Ed25519, context, message);
        Ok(self.key.sign(&framed).to_bytes().to_vec())
    }
}

impl VerifyingScheme for Verifying {
    fn verify(&self, context: Context, message: &[u8], signature: &[u8]) -> bool {
        verify(&self.0, &framed(SignatureAlgorithm::Ed25519, context, message), signature)
    }
}
