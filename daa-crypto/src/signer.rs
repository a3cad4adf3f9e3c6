//! Who signs: a key in memory, or a device that holds one.

use async_trait::async_trait;

use crate::context::Context;
use crate::error::SignError;
use crate::signature::Signature;
use crate::signing_key::{SigningKey, VerifyingKey};

/// Something that signs with a key it does not show: a [`SigningKey`], a hardware module, a service.
///
/// It is asynchronous, because a device or a service is waited for, and a thread that blocks there blocks others. A key
/// in memory signs at once, on the thread that polls.
///
/// # Contract
///
/// An implementation must
///
/// - sign so that [`CryptoSuite::verify`](crate::CryptoSuite::verify) accepts the signature with
///   [`verifying_key`](Self::verifying_key), the same context and the same message: for ML-DSA, SLH-DSA and Ed25519
///   the device signs the bytes that [`signed_bytes`](crate::signed_bytes) gives, with the empty context;
/// - not keep the message, and not sign anything else in its place.
///
/// # Cancel safety
///
/// To drop the future is to want no signature; the device may make one all the same.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The public half of the key that signs.
    fn verifying_key(&self) -> &VerifyingKey;

    /// Signs a message for one use.
    ///
    /// # Errors
    /// [`SignError::Signer`] with the cause, when the device fails or refuses.
    async fn sign(&self, context: Context, message: &[u8]) -> Result<Signature, SignError>;
}

#[async_trait]
impl Signer for SigningKey {
    fn verifying_key(&self) -> &VerifyingKey {
        Self::verifying_key(self)
    }

    async fn sign(&self, context: Context, message: &[u8]) -> Result<Signature, SignError> {
        Self::sign(self, context, message)
    }
}
