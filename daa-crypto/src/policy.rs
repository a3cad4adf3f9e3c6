//! Which algorithms are accepted: the guard against downgrades.

use std::collections::BTreeSet;

use crate::algorithm::{KemAlgorithm, SignatureAlgorithm};
use crate::error::{Algorithm, NotAccepted};

/// The accepted algorithms.
///
/// A [`CryptoSuite`](crate::CryptoSuite) asks its policy whenever it decodes, verifies, generates, encapsulates or
/// opens, so a peer cannot choose an algorithm that its owner did not.
///
/// ```
/// use daa_crypto::{Policy, SignatureAlgorithm};
///
/// let policy = Policy::default();
/// assert!(policy.accepts_signature(SignatureAlgorithm::MlDsa65));
/// assert!(!policy.accepts_signature(SignatureAlgorithm::Ed25519));
/// let only_roots = Policy::none().with_signature(SignatureAlgorithm::SlhDsaSha2_192s);
/// assert!(!only_roots.accepts_signature(SignatureAlgorithm::MlDsa65));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    signatures: BTreeSet<SignatureAlgorithm>,
    kems: BTreeSet<KemAlgorithm>,
}

impl Default for Policy {
    /// All that is post-quantum, of security category 3 or above, and standard: not ML-DSA-44 (alone or composite), not
    /// Ed25519, not HQC.
    fn default() -> Self {
        use SignatureAlgorithm as S;
        let signatures = [S::MlDsa65, S::MlDsa87, S::SlhDsaSha2_192s, S::SlhDsaSha2_192f, S::MlDsa65Ed25519];
        let kems = [KemAlgorithm::MlKem768, KemAlgorithm::MlKem1024, KemAlgorithm::XWing];
        Self { signatures: signatures.into(), kems: kems.into() }
    }
}

impl Policy {
    /// Accepts nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self { signatures: BTreeSet::new(), kems: BTreeSet::new() }
    }

    /// Accepts this signature algorithm too.
    #[must_use]
    pub fn with_signature(mut self, algorithm: SignatureAlgorithm) -> Self {
        self.signatures.insert(algorithm);
        self
    }

    /// Accepts this signature algorithm no longer.
    #[must_use]
    pub fn without_signature(mut self, algorithm: SignatureAlgorithm) -> Self {
        self.signatures.remove(&algorithm);
        self
    }

    /// Accepts this key encapsulation too.
    #[must_use]
    pub fn with_kem(mut self, algorithm: KemAlgorithm) -> Self {
        self.kems.insert(algorithm);
        self
    }

    /// Accepts this key encapsulation no longer.
    #[must_use]
    pub fn without_kem(mut self, algorithm: KemAlgorithm) -> Self {
        self.kems.remove(&algorithm);
        self
    }

    /// Whether it accepts this signature algorithm.
    #[must_use]
    pub fn accepts_signature(&self, algorithm: SignatureAlgorithm) -> bool {
        self.signatures.contains(&algorithm)
    }

    /// Whether it accepts this key encapsulation.
    #[must_use]
    pub fn accepts_kem(&self, algorithm: KemAlgorithm) -> bool {
        self.kems.contains(&algorithm)
    }

    pub(crate) fn check_signature(&self, algorithm: SignatureAlgorithm) -> Result<(), NotAccepted> {
        let refused = NotAccepted { algorithm: Algorithm::Signature(algorithm) };
        self.accepts_signature(algorithm).then_some(()).ok_or(refused)
    }

    pub(crate) fn check_kem(&self, algorithm: KemAlgorithm) -> Result<(), NotAccepted> {
        let refused = NotAccepted { algorithm: Algorithm::Kem(algorithm) };
        self.accepts_kem(algorithm).then_some(()).ok_or(refused)
    }
}
