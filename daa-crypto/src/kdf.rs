//! Keys from keys, each for one use.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize as _;

use crate::context::Context;
use crate::error::{Fault, Reaction};
use crate::secret::Secret;

/// HKDF-SHA-256 of RFC 5869, from a secret to any number of keys.
///
/// ```
/// use daa_crypto::{Context, HkdfSha256, Secret};
///
/// const SESSION: Context = Context::new("my-protocol session v1");
/// let shared = Secret::from_bytes([7; 32]);
/// let hkdf = HkdfSha256::extract(b"", shared.as_bytes());
/// let (ours, theirs) = (hkdf.derive(SESSION, &[b"initiator"]), hkdf.derive(SESSION, &[b"responder"]));
/// assert_ne!(ours, theirs);
/// ```
#[derive(Clone)]
pub struct HkdfSha256(Hkdf<Sha256>);

impl HkdfSha256 {
    /// HKDF-Extract: concentrates a secret that need not be uniform.
    #[must_use]
    pub fn extract(salt: &[u8], secret: &[u8]) -> Self {
        Self(Hkdf::new(Some(salt), secret))
    }

    /// A key for one use. Fields are told apart: no two lists of them give the same key.
    #[must_use]
    pub fn derive(&self, context: Context, fields: &[&[u8]]) -> Secret {
        let mut key = Secret::zero();
        // 32 bytes are within what HKDF can give, so this cannot fail.
        let made = self.expand(&info(context, fields), key.as_mut());
        debug_assert!(made.is_ok(), "32 bytes are fewer than 255 times 32");
        key
    }

    /// HKDF-Expand as in the RFC, for protocols that have an `info` of their own.
    ///
    /// # Errors
    /// [`OutputTooLong`] beyond 8,160 bytes; then nothing is written.
    pub fn expand(&self, info: &[u8], output: &mut [u8]) -> Result<(), OutputTooLong> {
        self.0.expand(info, output).map_err(|_| OutputTooLong { asked: output.len() })
    }
}

impl fmt::Debug for HkdfSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HkdfSha256(..)")
    }
}

/// A key of BLAKE3 in its key-derivation mode, from a secret that is uniform or at least long.
///
/// Fields are told apart, as in [`HkdfSha256::derive`]. The keys of both are unrelated.
#[must_use]
pub fn derive_key(context: Context, secret: &[u8], fields: &[&[u8]]) -> Secret {
    let mut hasher = blake3::Hasher::new_derive_key("daa-crypto 2026-11 derive key v1");
    hasher.update(&(secret.len() as u64).to_be_bytes()).update(secret).update(&info(context, fields));
    let key = Secret::from_bytes(*hasher.finalize().as_bytes());
    hasher.zeroize();
    key
}

/// Context and fields, each with its length before it.
fn info(context: Context, fields: &[&[u8]]) -> Vec<u8> {
    let mut info = b"daa-crypto kdf 1".to_vec();
    info.push(context.len());
    info.extend_from_slice(context.as_bytes());
    for field in fields {
        info.extend_from_slice(&(field.len() as u64).to_be_bytes());
        info.extend_from_slice(field);
    }
    info
}

/// More bytes were asked of HKDF than it can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("HKDF-SHA-256 gives at most 8160 bytes, not {asked}")]
#[non_exhaustive]
pub struct OutputTooLong {
    /// How many.
    pub asked: usize,
}

impl Reaction for OutputTooLong {
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}
