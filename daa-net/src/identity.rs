//! The key with which a node proves itself.

use std::fmt;
use std::sync::Arc;

use daa_core::fault::{Fault, Reaction, Retry};
use daa_crypto::{CryptoSuite, KeyError, SignatureAlgorithm, Signer, VerifyingKey};

use crate::node_id::NodeId;

/// A node's own key, in memory or in a device. Cheap to clone.
#[derive(Clone)]
pub struct NodeIdentity {
    signer: Arc<dyn Signer>,
    id: NodeId,
}

impl NodeIdentity {
    /// A new node, with an ML-DSA-65 key in memory. It is gone with the process: a node that is to be known again has a key that
    /// its owner keeps, in a [`KeyFile`](daa_crypto::KeyFile) say.
    ///
    /// # Errors
    /// [`KeyError`] when there is no randomness.
    pub fn generate(suite: &CryptoSuite) -> Result<Self, KeyError> {
        let signer = Arc::new(suite.generate_signing_key(SignatureAlgorithm::MlDsa65)?);
        let id = NodeId::of(signer.verifying_key());
        Ok(Self { signer, id })
    }

    /// The node of whoever signs.
    ///
    /// # Errors
    /// [`IdentityError::Algorithm`] for a key of another algorithm than ML-DSA-65, ML-DSA-87, or ML-DSA-65 with Ed25519:
    /// weaker ones prove too little for as long as a node lives, and signatures of SLH-DSA do not fit into a handshake.
    pub fn new(signer: Arc<dyn Signer>) -> Result<Self, IdentityError> {
        let key = signer.verifying_key();
        check(key)?;
        let id = NodeId::of(key);
        Ok(Self { signer, id })
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.id
    }

    /// The public half of its key.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        self.signer.verifying_key()
    }

    pub(crate) fn signer(&self) -> &dyn Signer {
        &*self.signer
    }
}

impl fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeIdentity({})", self.id)
    }
}

/// Whether a key can be that of a node.
pub(crate) fn check(key: &VerifyingKey) -> Result<(), IdentityError> {
    use SignatureAlgorithm::{MlDsa65, MlDsa65Ed25519, MlDsa87};
    match key.algorithm() {
        MlDsa65 | MlDsa87 | MlDsa65Ed25519 => Ok(()),
        found => Err(IdentityError::Algorithm { found }),
    }
}

/// A key that cannot be that of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// It is of an algorithm that nodes do not have.
    #[error("nodes have keys of ML-DSA-65, ML-DSA-87 or ML-DSA-65 with Ed25519, not of {found}")]
    Algorithm {
        /// Which.
        found: SignatureAlgorithm,
    },
}

impl Reaction for IdentityError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}
