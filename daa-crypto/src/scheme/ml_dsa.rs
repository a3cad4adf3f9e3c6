//! ML-DSA by the provider, with the context in the message.

use super::{SigningScheme, VerifyingScheme, framed};
use crate::algorithm::SignatureAlgorithm;
use crate::context::Context;
use crate::error::{ProviderError, SignError};
use crate::provider::{MlDsa, MlDsaSigner, MlDsaVerifier, Provider};

struct Signing {
    algorithm: SignatureAlgorithm,
    key: Box<dyn MlDsaSigner>,
}

struct Verifying {
    algorithm: SignatureAlgorithm,
    key: Box<dyn MlDsaVerifier>,
}

pub(super) fn signing(
    provider: &dyn Provider,
    set: MlDsa,
    algorithm: SignatureAlgorithm,
    seed: &[u8],
) -> Option<Result<Box<dyn SigningScheme>, ProviderError>> {
    let key = provider.ml_dsa_signer(set, seed.try_into().ok()?);
    Some(key.map(|key| Box::new(Signing { algorithm, key }) as Box<dyn SigningScheme>))
}

pub(super) fn verifying(
    provider: &dyn Provider,
    set: MlDsa,
    algorithm: SignatureAlgorithm,
    key: &[u8],
) -> Option<Box<dyn VerifyingScheme>> {
    let key = provider.ml_dsa_verifier(set, key).ok()?;
    Some(Box::new(Verifying { algorithm, key }))
}

impl SigningScheme for Signing {
    fn public_key(&self) -> &[u8] {
        self.key.public_key()
    }

    fn sign(&self, context: Context, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.key.sign(&framed(self.algorithm, context, message))?)
    }
}

impl VerifyingScheme for Verifying {
    fn verify(&self, context: Context, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify(&framed(self.algorithm, context, message), signature)
    }
}
