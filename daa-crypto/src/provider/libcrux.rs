//! ML-DSA and ML-KEM by libcrux: verified Rust, portable, and the only one that takes contexts and seeds of ML-KEM.

use libcrux_ml_dsa::{ml_dsa_44, ml_dsa_65, ml_dsa_87};
use libcrux_ml_kem::{mlkem768, mlkem1024};
use zeroize::Zeroize;

use super::{MlDsa, MlDsaSigner, MlDsaVerifier, MlKem, MlKemDecapsulator, MlKemEncapsulator, Provider};
use crate::error::ProviderError;
use crate::secret::{Secret, random};

const NAME: &str = "libcrux";

/// The provider that is everywhere.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Libcrux;

impl Libcrux {
    /// The provider.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

const fn failed(operation: &'static str) -> ProviderError {
    ProviderError::new(NAME, operation)
}

/// A signing key that takes contexts, which the composite signatures need.
pub(crate) trait ContextSigner: MlDsaSigner {
    /// Signs with this context, at most 255 bytes.
    fn sign_with_context(&self, context: &[u8], message: &[u8]) -> Result<Vec<u8>, ProviderError>;
}

/// One parameter set of ML-DSA: its keys, and what they do.
macro_rules! ml_dsa {
    ($set:ident, $module:ident, $signing:ident, $verifying:ident, $signature:ident) => {
        mod $set {
            use super::*;

            struct Signer {
                signing: $module::$signing,
                public: $module::$verifying,
            }

            impl Drop for Signer {
                fn drop(&mut self) {
                    self.signing.as_mut_slice().zeroize();
                }
            }

            pub(super) fn signer(seed: &[u8; 32]) -> Box<dyn ContextSigner> {
                let mut pair = $module::generate_key_pair(*seed);
                // The key is copied into the box, and its first place is wiped.
                let signer = Signer { signing: pair.signing_key.clone(), public: pair.verification_key };
                pair.signing_key.as_mut_slice().zeroize();
                Box::new(signer)
            }

            impl MlDsaSigner for Signer {
                fn public_key(&self) -> &[u8] {
                    self.public.as_slice()
                }

                fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ProviderError> {
                    self.sign_with_context(b"", message)
                }
            }

            impl ContextSigner for Signer {
                fn sign_with_context(
                    &self,
                    context: &[u8],
                    message: &[u8],
                ) -> Result<Vec<u8>, ProviderError> {
                    let randomness = random::<32>().map_err(|_| failed("finding randomness"))?;
                    let signature = $module::sign(&self.signing, message, context, *randomness);
                    Ok(signature.map_err(|_| failed("ML-DSA signing"))?.as_slice().to_vec())
                }
            }

            pub(super) struct Verifier(Box<$module::$verifying>);

            impl Verifier {
                pub(super) fn new(key: &[u8]) -> Result<Self, ProviderError> {
                    let key = key.try_into().map_err(|_| failed("reading an ML-DSA public key"))?;
                    Ok(Self(Box::new($module::$verifying::new(key))))
                }

                pub(super) fn verify_with_context(
                    &self,
                    context: &[u8],
                    message: &[u8],
                    signature: &[u8],
                ) -> bool {
                    let Ok(signature) = signature.try_into() else { return false };
                    let signature = $module::$signature::new(signature);
                    $module::verify(&self.0, message, context, &signature).is_ok()
                }
            }

            impl MlDsaVerifier for Verifier {
                fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
                    self.verify_with_context(b"", message, signature)
                }
            }
        }
    };
}

ml_dsa!(set_44, ml_dsa_44, MLDSA44SigningKey, MLDSA44VerificationKey, MLDSA44Signature);
ml_dsa!(set_65, ml_dsa_65, MLDSA65SigningKey, MLDSA65VerificationKey, MLDSA65Signature);
ml_dsa!(set_87, ml_dsa_87, MLDSA87SigningKey, MLDSA87VerificationKey, MLDSA87Signature);

/// One parameter set of ML-KEM.
macro_rules! ml_kem {
    ($set:ident, $module:ident, $private:ident, $public:ident, $ciphertext:ident) => {
        mod $set {
            use super::*;

            pub(super) struct Decapsulator {
                private: $module::$private,
                public: $module::$public,
            }

            impl Drop for Decapsulator {
                fn drop(&mut self) {
                    self.private[..$module::$private::len()].zeroize();
                }
            }

            impl Decapsulator {
                pub(super) fn new(seed: &[u8; 64]) -> Self {
                    let pair = $module::generate_key_pair(*seed);
                    let (private, public) = pair.into_parts();
                    Self { private, public }
                }

                /// The expanded key, for a provider that takes no seed.
                #[cfg(all(feature = "aws-lc", not(target_arch = "wasm32")))]
                pub(super) fn expanded(&self) -> &[u8] {
                    self.private.as_slice()
                }
            }

            impl MlKemDecapsulator for Decapsulator {
                fn public_key(&self) -> &[u8] {
                    self.public.as_slice()
                }

                fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, ProviderError> {
                    let ciphertext = $module::$ciphertext::try_from(ciphertext);
                    let ciphertext = ciphertext.map_err(|_| failed("reading an ML-KEM ciphertext"))?;
                    Ok(Secret::from_bytes($module::decapsulate(&self.private, &ciphertext)))
                }
            }

            pub(super) struct Encapsulator(Box<$module::$public>);

            impl Encapsulator {
                pub(super) fn new(key: &[u8]) -> Option<Self> {
                    let key = $module::$public::try_from(key).ok()?;
                    $module::validate_public_key(&key).then(|| Self(Box::new(key)))
                }
            }

            impl MlKemEncapsulator for Encapsulator {
                fn encapsulate(&self) -> Result<(Vec<u8>, Secret), ProviderError> {
                    let randomness = random::<32>().map_err(|_| failed("finding randomness"))?;
                    let (ciphertext, secret) = $module::encapsulate(&self.0, *randomness);
                    Ok((ciphertext.as_slice().to_vec(), Secret::from_bytes(secret)))
                }
            }
        }
    };
}

ml_kem!(set_768, mlkem768, MlKem768PrivateKey, MlKem768PublicKey, MlKem768Ciphertext);
ml_kem!(set_1024, mlkem1024, MlKem1024PrivateKey, MlKem1024PublicKey, MlKem1024Ciphertext);

impl Libcrux {
    pub(crate) fn context_signer(set: MlDsa, seed: &[u8; 32]) -> Box<dyn ContextSigner> {
        match set {
            MlDsa::MlDsa44 => set_44::signer(seed),
            MlDsa::MlDsa65 => set_65::signer(seed),
            MlDsa::MlDsa87 => set_87::signer(seed),
        }
    }

    /// The expanded private key and the public key of a seed, wiped by who holds them.
    #[cfg(all(feature = "aws-lc", not(target_arch = "wasm32")))]
    pub(super) fn expand(set: MlKem, seed: &[u8; 64]) -> (zeroize::Zeroizing<Vec<u8>>, Box<[u8]>) {
        match set {
            MlKem::MlKem768 => {
                let key = set_768::Decapsulator::new(seed);
                (key.expanded().to_vec().into(), key.public_key().into())
            }
            MlKem::MlKem1024 => {
                let key = set_1024::Decapsulator::new(seed);
                (key.expanded().to_vec().into(), key.public_key().into())
            }
        }
    }
}

/// Whether a signature verifies with this context.
pub(crate) fn verify_with_context(
    set: MlDsa,
    key: &[u8],
    context: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    match set {
        MlDsa::MlDsa44 => {
            set_44::Verifier::new(key).is_ok_and(|key| key.verify_with_context(context, message, signature))
        }
        MlDsa::MlDsa65 => {
            set_65::Verifier::new(key).is_ok_and(|key| key.verify_with_context(context, message, signature))
        }
        MlDsa::MlDsa87 => {
            set_87::Verifier::new(key).is_ok_and(|key| key.verify_with_context(context, message, signature))
        }
    }
}

impl Provider for Libcrux {
    fn name(&self) -> &'static str {
        NAME
    }

    fn ml_dsa_signer(&self, set: MlDsa, seed: &[u8; 32]) -> Result<Box<dyn MlDsaSigner>, ProviderError> {
        Ok(Self::context_signer(set, seed))
    }

    fn ml_dsa_verifier(&self, set: MlDsa, key: &[u8]) -> Result<Box<dyn MlDsaVerifier>, ProviderError> {
        Ok(match set {
            MlDsa::MlDsa44 => Box::new(set_44::Verifier::new(key)?),
            MlDsa::MlDsa65 => Box::new(set_65::Verifier::new(key)?),
            MlDsa::MlDsa87 => Box::new(set_87::Verifier::new(key)?),
        })
    }

    fn ml_kem_decapsulator(
        &self,
        set: MlKem,
        seed: &[u8; 64],
    ) -> Result<Box<dyn MlKemDecapsulator>, ProviderError> {
        Ok(match set {
            MlKem::MlKem768 => Box::new(set_768::Decapsulator::new(seed)),
            MlKem::MlKem1024 => Box::new(set_1024::Decapsulator::new(seed)),
        })
    }

    fn ml_kem_encapsulator(
        &self,
        set: MlKem,
        key: &[u8],
    ) -> Result<Box<dyn MlKemEncapsulator>, ProviderError> {
        let refused = || failed("reading an ML-KEM public key");
        Ok(match set {
            MlKem::MlKem768 => Box::new(set_768::Encapsulator::new(key).ok_or_else(refused)?),
            MlKem::MlKem1024 => Box::new(set_1024::Encapsulator::new(key).ok_or_else(refused)?),
        })
    }
}
