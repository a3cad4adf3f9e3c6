//! Composite signatures of draft-ietf-lamps-pq-composite-sigs: ML-DSA and Ed25519 over the same message, both must verify.
//!
//! The draft's own domain separation is used, with our context as its context. It gives ML-DSA the algorithm's label as
//! context, which AWS-LC does not take: here ML-DSA is libcrux's on every platform.

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha512};

use super::{SigningScheme, VerifyingScheme, ed25519};
use crate::context::Context;
use crate::error::SignError;
use crate::provider::{ContextSigner, Libcrux, MlDsa, verify_with_context};

/// What makes one composite: its half of ML-DSA, and its label.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    set: MlDsa,
    label: &'static [u8],
}

pub(super) const MLDSA44_ED25519: Pair =
    Pair { set: MlDsa::MlDsa44, label: b"COMPSIG-MLDSA44-Ed25519-SHA512" };
pub(super) const MLDSA65_ED25519: Pair =
    Pair { set: MlDsa::MlDsa65, label: b"COMPSIG-MLDSA65-Ed25519-SHA512" };

impl Pair {
    pub(super) fn signed_bytes(self, context: Context, message: &[u8]) -> Vec<u8> {
        representative(self.label, context.as_bytes(), message)
    }
}

/// `M'`, which both sign: prefix, label, length of the context, context, hash of the message.
fn representative(label: &[u8], context: &[u8], message: &[u8]) -> Vec<u8> {
    const PREFIX: &[u8; 32] = b"CompositeAlgorithmSignatures2025";
    let len = u8::try_from(context.len()).unwrap_or(u8::MAX);
    [PREFIX.as_slice(), label, &[len], context, Sha512::digest(message).as_slice()].concat()
}

struct Signing {
    pair: Pair,
    ml_dsa: Box<dyn ContextSigner>,
    ed25519: SigningKey,
    public: Box<[u8]>,
}

struct Verifying {
    pair: Pair,
    ml_dsa: Box<[u8]>,
    ed25519: VerifyingKey,
}

/// The seed is that of ML-DSA, then that of Ed25519.
pub(super) fn signing(pair: Pair, seed: &[u8]) -> Option<Box<dyn SigningScheme>> {
    let (ml_dsa, ed25519) = seed.split_first_chunk::<32>()?;
    let ml_dsa = Libcrux::context_signer(pair.set, ml_dsa);
    let ed25519 = SigningKey::from_bytes(ed25519.try_into().ok()?);
    let public = [ml_dsa.public_key(), ed25519.verifying_key().as_bytes()].concat().into();
    Some(Box::new(Signing { pair, ml_dsa, ed25519, public }))
}

pub(super) fn verifying(pair: Pair, key: &[u8]) -> Option<Box<dyn VerifyingScheme>> {
    let (ml_dsa, ed25519) = key.split_at_checked(pair.set.public_key_len())?;
    let ed25519 = ed25519::public_key(ed25519)?;
    Some(Box::new(Verifying { pair, ml_dsa: ml_dsa.into(), ed25519 }))
}

impl SigningScheme for Signing {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, context: Context, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let message = self.pair.signed_bytes(context, message);
        let mut signature = self.ml_dsa.sign_with_context(self.pair.label, &message)?;
        signature.extend_from_slice(&self.ed25519.sign(&message).to_bytes());
        Ok(signature)
    }
}

impl VerifyingScheme for Verifying {
    fn verify(&self, context: Context, message: &[u8], signature: &[u8]) -> bool {
        let Some((ml_dsa, ed25519)) = signature.split_at_checked(self.pair.set.signature_len()) else {
            return false;
        };
        let message = self.pair.signed_bytes(context, message);
        ed25519::verify(&self.ed25519, &message, ed25519)
            && verify_with_context(self.pair.set, &self.ml_dsa, self.pair.label, &message, ml_dsa)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
    }

    /// The draft's example of M', for another composite: the construction is the same.
    #[test]
    fn the_message_representative_is_that_of_the_drafts_example() {
        let message = hex("00010203040506070809");
        let expected = hex(concat!(
            "436f6d706f73697465416c676f726974686d5369676e61747572657332303235",
            "434f4d505349472d4d4c44534136352d503235362d534841353132",
            "08",
            "0813061205162623",
            "0f89ee1fcb7b0a4f7809d1267a029719004c5a5e5ec323a7c3523a20974f9a3f",
            "202f56fadba4cd9e8d654ab9f2e96dc5c795ea176fa20ede8d854c342f903533",
        ));
        let found = representative(b"COMPSIG-MLDSA65-P256-SHA512", &hex("0813061205162623"), &message);
        assert_eq!(found, expected);
    }
}
