//! ML-DSA and ML-KEM by AWS-LC, the fast one.
//!
//! It takes only the empty context, and no seed of ML-KEM: a seed is expanded by [`Libcrux`], and the expanded key given
//! to AWS-LC.

use aws_lc_rs::kem::{self, Ciphertext, DecapsulationKey, EncapsulationKey};
use aws_lc_rs::signature::{
    KeyPair, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87, ML_DSA_87_SIGNING,
    ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
};

use super::{
    Libcrux, MlDsa, MlDsaSigner, MlDsaVerifier, MlKem, MlKemDecapsulator, MlKemEncapsulator, Provider,
};
use crate::error::ProviderError;
use crate::secret::Secret;

const NAME: &str = "aws-lc";

static VERIFY_44: PqdsaVerificationAlgorithm = ML_DSA_44;
static VERIFY_65: PqdsaVerificationAlgorithm = ML_DSA_65;
static VERIFY_87: PqdsaVerificationAlgorithm = ML_DSA_87;
static SIGN_44: PqdsaSigningAlgorithm = ML_DSA_44_SIGNING;
static SIGN_65: PqdsaSigningAlgorithm = ML_DSA_65_SIGNING;
static SIGN_87: PqdsaSigningAlgorithm = ML_DSA_87_SIGNING;
static KEM_768: kem::Algorithm = kem::ML_KEM_768;
static KEM_1024: kem::Algorithm = kem::ML_KEM_1024;

/// The provider on top of AWS-LC: feature `aws-lc`, and not on wasm32.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AwsLc;

impl AwsLc {
    /// The provider.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

const fn failed(operation: &'static str) -> ProviderError {
    ProviderError::new(NAME, operation)
}

const fn algorithm(set: MlKem) -> &'static kem::Algorithm {
    match set {
        MlKem::MlKem768 => &KEM_768,
        MlKem::MlKem1024 => &KEM_1024,
    }
}

fn copied(secret: &[u8]) -> Option<Secret> {
    secret.try_into().ok().map(Secret::from_bytes)
}

struct Signer(PqdsaKeyPair);

impl MlDsaSigner for Signer {
    fn public_key(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ProviderError> {
        let mut signature = vec![0; self.0.algorithm().signature_len()];
        let written = self.0.sign(message, &mut signature).map_err(|_| failed("ML-DSA signing"))?;
        signature.truncate(written);
        Ok(signature)
    }
}

struct Verifier(ParsedPublicKey);

impl MlDsaVerifier for Verifier {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

struct Decapsulator {
    private: DecapsulationKey,
    public: Box<[u8]>,
}

impl MlKemDecapsulator for Decapsulator {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, ProviderError> {
        let secret = self.private.decapsulate(Ciphertext::from(ciphertext));
        let secret = secret.map_err(|_| failed("ML-KEM decapsulation"))?;
        copied(secret.as_ref()).ok_or_else(|| failed("ML-KEM decapsulation"))
    }
}

struct Encapsulator(EncapsulationKey);

impl MlKemEncapsulator for Encapsulator {
    fn encapsulate(&self) -> Result<(Vec<u8>, Secret), ProviderError> {
        let (ciphertext, secret) = self.0.encapsulate().map_err(|_| failed("ML-KEM encapsulation"))?;
        let secret = copied(secret.as_ref()).ok_or_else(|| failed("ML-KEM encapsulation"))?;
        Ok((ciphertext.as_ref().to_vec(), secret))
    }
}

impl Provider for AwsLc {
    fn name(&self) -> &'static str {
        NAME
    }

    fn ml_dsa_signer(&self, set: MlDsa, seed: &[u8; 32]) -> Result<Box<dyn MlDsaSigner>, ProviderError> {
        let algorithm = match set {
            MlDsa::MlDsa44 => &SIGN_44,
            MlDsa::MlDsa65 => &SIGN_65,
            MlDsa::MlDsa87 => &SIGN_87,
        };
        let pair = PqdsaKeyPair::from_seed(algorithm, seed);
        Ok(Box::new(Signer(pair.map_err(|_| failed("expanding an ML-DSA seed"))?)))
    }

    fn ml_dsa_verifier(&self, set: MlDsa, key: &[u8]) -> Result<Box<dyn MlDsaVerifier>, ProviderError> {
        let refused = || failed("reading an ML-DSA public key");
        // AWS-LC also takes keys in DER.
        if key.len() != set.public_key_len() {
            return Err(refused());
        }
        let algorithm = match set {
            MlDsa::MlDsa44 => &VERIFY_44,
            MlDsa::MlDsa65 => &VERIFY_65,
            MlDsa::MlDsa87 => &VERIFY_87,
        };
        let parsed = ParsedPublicKey::new(algorithm, key).map_err(|_| refused())?;
        Ok(Box::new(Verifier(parsed)))
    }

    fn ml_kem_decapsulator(
        &self,
        set: MlKem,
        seed: &[u8; 64],
    ) -> Result<Box<dyn MlKemDecapsulator>, ProviderError> {
        let (expanded, public) = Libcrux::expand(set, seed);
        let private = DecapsulationKey::new(algorithm(set), &expanded);
        let private = private.map_err(|_| failed("reading an expanded ML-KEM key"))?;
        Ok(Box::new(Decapsulator { private, public }))
    }

    fn ml_kem_encapsulator(
        &self,
        set: MlKem,
        key: &[u8],
    ) -> Result<Box<dyn MlKemEncapsulator>, ProviderError> {
        let refused = || failed("reading an ML-KEM public key");
        // AWS-LC looks at the coefficients only when it encapsulates; libcrux does so here.
        Libcrux::new().ml_kem_encapsulator(set, key).map_err(|_| refused())?;
        let key = EncapsulationKey::new(algorithm(set), key).map_err(|_| refused())?;
        Ok(Box::new(Encapsulator(key)))
    }
}
