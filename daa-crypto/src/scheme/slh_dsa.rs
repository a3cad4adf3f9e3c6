//! SLH-DSA with SHA-2: hash-based, for the day on which lattices fall, and for root keys.

use slh_dsa::{ParameterSet, Sha2_192f, Sha2_192s, Signature, SigningKey, VerifyingKey};

use super::{SigningScheme, VerifyingScheme, framed};
use crate::algorithm::SignatureAlgorithm;
use crate::context::Context;
use crate::error::{ProviderError, SignError};
use crate::secret::random;

/// Bytes of a seed, of a randomiser, of a node: *n* of category 3.
const N: usize = 24;

struct Signing<P: ParameterSet> {
    algorithm: SignatureAlgorithm,
    key: SigningKey<P>,
    public: Box<[u8]>,
}

struct Verifying<P: ParameterSet> {
    algorithm: SignatureAlgorithm,
    key: VerifyingKey<P>,
}

pub(super) fn signing_192s(seed: &[u8]) -> Option<Box<dyn SigningScheme>> {
    Signing::<Sha2_192s>::scheme(SignatureAlgorithm::SlhDsaSha2_192s, seed)
}

pub(super) fn signing_192f(seed: &[u8]) -> Option<Box<dyn SigningScheme>> {
    Signing::<Sha2_192f>::scheme(SignatureAlgorithm::SlhDsaSha2_192f, seed)
}

pub(super) fn verifying_192s(key: &[u8]) -> Option<Box<dyn VerifyingScheme>> {
    Verifying::<Sha2_192s>::scheme(SignatureAlgorithm::SlhDsaSha2_192s, key)
}

pub(super) fn verifying_192f(key: &[u8]) -> Option<Box<dyn VerifyingScheme>> {
    Verifying::<Sha2_192f>::scheme(SignatureAlgorithm::SlhDsaSha2_192f, key)
}

impl<P: ParameterSet + Send + Sync + 'static> Signing<P>
where
    SigningKey<P>: Send + Sync,
{
    /// FIPS 205, algorithm 18; the seed is `SK.seed`, `SK.prf`, `PK.seed`.
    fn scheme(algorithm: SignatureAlgorithm, seed: &[u8]) -> Option<Box<dyn SigningScheme>> {
        let seed: &[u8; 3 * N] = seed.try_into().ok()?;
        let (sk_seed, rest) = seed.split_at(N);
        let (sk_prf, pk_seed) = rest.split_at(N);
        let key = SigningKey::<P>::slh_keygen_internal(sk_seed, sk_prf, pk_seed);
        let public = key.as_ref().to_bytes().as_slice().into();
        Some(Box::new(Self { algorithm, key, public }))
    }
}

impl<P: ParameterSet + Send + Sync + 'static> Verifying<P>
where
    VerifyingKey<P>: Send + Sync,
{
    fn scheme(algorithm: SignatureAlgorithm, key: &[u8]) -> Option<Box<dyn VerifyingScheme>> {
        let key = VerifyingKey::<P>::try_from(key).ok()?;
        Some(Box::new(Self { algorithm, key }))
    }
}

impl<P: ParameterSet> SigningScheme for Signing<P>
where
    SigningKey<P>: Send + Sync,
{
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, context: Context, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let randomizer = random::<N>()?;
        let framed = framed(self.algorithm, context, message);
        let signature = self.key.try_sign_with_context(&framed, b"", Some(randomizer.as_slice()));
        let signature = signature.map_err(|_| ProviderError::new("slh-dsa", "SLH-DSA signing"))?;
        Ok(signature.to_bytes().to_vec())
    }
}

impl<P: ParameterSet> VerifyingScheme for Verifying<P>
where
    VerifyingKey<P>: Send + Sync,
{
    fn verify(&self, context: Context, message: &[u8], signature: &[u8]) -> bool {
        if signature.len() != self.algorithm.signature_len() {
            return false;
        }
        let framed = framed(self.algorithm, context, message);
        Signature::<P>::try_from(signature)
            .is_ok_and(|signature| self.key.try_verify_with_context(&framed, b"", &signature).is_ok())
    }
}
