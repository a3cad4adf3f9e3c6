//! Signature algorithms, each behind the same two traits.

mod composite;
mod ed25519;
mod ml_dsa;
mod slh_dsa;

use crate::algorithm::SignatureAlgorithm;
use crate::context::Context;
use crate::error::{Algorithm, DecodeError, KeyError, ProviderError, SignError};
use crate::provider::{MlDsa, Provider};

/// A secret key that signs.
pub(crate) trait SigningScheme: Send + Sync {
    fn public_key(&self) -> &[u8];

    fn sign(&self, context: Context, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A public key that verifies. The signature may be of any length.
pub(crate) trait VerifyingScheme: Send + Sync {
    fn verify(&self, context: Context, message: &[u8], signature: &[u8]) -> bool;
}

/// What ML-DSA, SLH-DSA and Ed25519 sign: context and message, so that a signature for one use is none for another.
///
/// ```text
/// "daa-crypto sig 1" | algorithm: u16 | length of the context: u8 | context | message
/// ```
///
/// The message is last, and everything before it says where it ends: no two pairs of context and message give the same
/// bytes.
fn framed(algorithm: SignatureAlgorithm, context: Context, message: &[u8]) -> Vec<u8> {
    const TAG: &[u8; 16] = b"daa-crypto sig 1";
    let context_bytes = context.as_bytes();
    let len = TAG.len().saturating_add(3).saturating_add(context_bytes.len()).saturating_add(message.len());
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(TAG);
    bytes.extend_from_slice(&algorithm.id().to_be_bytes());
    bytes.push(context.len());
    bytes.extend_from_slice(context_bytes);
    bytes.extend_from_slice(message);
    bytes
}

/// The bytes that a device has to sign, so that [`CryptoSuite::verify`](crate::CryptoSuite::verify) accepts the signature.
///
/// For ML-DSA, SLH-DSA and Ed25519: algorithm, context and message; the device signs them with the empty context of its
/// standard. For a composite: `M'` of its draft, which ML-DSA signs with the algorithm's label as its context.
#[must_use]
pub fn signed_bytes(algorithm: SignatureAlgorithm, context: Context, message: &[u8]) -> Vec<u8> {
    match algorithm {
        SignatureAlgorithm::MlDsa44Ed25519 => composite::MLDSA44_ED25519.signed_bytes(context, message),
        SignatureAlgorithm::MlDsa65Ed25519 => composite::MLDSA65_ED25519.signed_bytes(context, message),
        _ => framed(algorithm, context, message),
    }
}

/// Makes a signing key of a seed.
pub(crate) fn signing(
    provider: &dyn Provider,
    algorithm: SignatureAlgorithm,
    seed: &[u8],
) -> Result<Box<dyn SigningScheme>, KeyError> {
    use SignatureAlgorithm as A;
    let wrong_length = KeyError::SeedLength {
        algorithm: Algorithm::Signature(algorithm),
        expected: algorithm.seed_len(),
        found: seed.len(),
    };
    let scheme: Option<Result<Box<dyn SigningScheme>, ProviderError>> = match algorithm {
        A::MlDsa44 => ml_dsa::signing(provider, MlDsa::MlDsa44, algorithm, seed),
        A::MlDsa65 => ml_dsa::signing(provider, MlDsa::MlDsa65, algorithm, seed),
        A::MlDsa87 => ml_dsa::signing(provider, MlDsa::MlDsa87, algorithm, seed),
        A::SlhDsaSha2_192s => slh_dsa::signing_192s(seed).map(Ok),
        A::SlhDsaSha2_192f => slh_dsa::signing_192f(seed).map(Ok),
        A::Ed25519 => ed25519::signing(seed).map(Ok),
        A::MlDsa44Ed25519 => composite::signing(composite::MLDSA44_ED25519, seed).map(Ok),
        A::MlDsa65Ed25519 => composite::signing(composite::MLDSA65_ED25519, seed).map(Ok),
    };
    Ok(scheme.ok_or(wrong_length)??)
}

/// Makes a verifying key of a public key of the right length.
pub(crate) fn verifying(
    provider: &dyn Provider,
    algorithm: SignatureAlgorithm,
    key: &[u8],
) -> Result<Box<dyn VerifyingScheme>, DecodeError> {
    use SignatureAlgorithm as A;
    let scheme: Option<Box<dyn VerifyingScheme>> = match algorithm {
        A::MlDsa44 => ml_dsa::verifying(provider, MlDsa::MlDsa44, algorithm, key),
        A::MlDsa65 => ml_dsa::verifying(provider, MlDsa::MlDsa65, algorithm, key),
        A::MlDsa87 => ml_dsa::verifying(provider, MlDsa::MlDsa87, algorithm, key),
        A::SlhDsaSha2_192s => slh_dsa::verifying_192s(key),
        A::SlhDsaSha2_192f => slh_dsa::verifying_192f(key),
        A::Ed25519 => ed25519::verifying(key),
        A::MlDsa44Ed25519 => composite::verifying(composite::MLDSA44_ED25519, key),
        A::MlDsa65Ed25519 => composite::verifying(composite::MLDSA65_ED25519, key),
    };
    scheme.ok_or(DecodeError::InvalidKey { algorithm: Algorithm::Signature(algorithm) })
}

/// Whether a signature of Ed25519 verifies, without our frame, for the vectors.
#[cfg(test)]
pub(crate) fn ed25519_verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    ed25519::public_key(key).is_some_and(|key| ed25519::verify(&key, message, signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_begins_with_tag_algorithm_and_context() {
        let bytes = framed(SignatureAlgorithm::MlDsa65, Context::new("ab"), b"cd");
        assert_eq!(bytes, b"daa-crypto sig 1\x01\x02\x02abcd");
    }

    #[test]
    fn a_byte_that_moves_between_context_and_message_changes_what_is_signed() {
        let one = framed(SignatureAlgorithm::Ed25519, Context::new("ab"), b"c");
        let two = framed(SignatureAlgorithm::Ed25519, Context::new("a"), b"bc");
        assert_ne!(one, two);
    }
}
