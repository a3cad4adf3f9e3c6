//! Proofs of inclusion and of consistency, and their verification, which needs nothing but hashes.

use daa_core::fault::{Fault, Reaction, Retry};
use serde::{Deserialize, Serialize};

use super::hash::TreeHash;

/// The most hashes in a proof: a tree has fewer than 2^64 leaves.
pub const MAX_PROOF: usize = 64;

/// What proves that a leaf is in a tree, or that one tree is the beginning of another: some of the nodes beside the
/// way to the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<TreeHash>", into = "Vec<TreeHash>")]
pub struct Proof(Vec<TreeHash>);

/// A proof that does not prove what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// There is no such leaf in a tree of this size.
    #[error("there is no record {index} in a tree of {size}")]
    OutOfTree {
        /// The leaf that was asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The older tree is the larger one.
    #[error("a tree of {new} records cannot go on from one of {old}")]
    Shrunk {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
    /// Too many hashes, or too few.
    #[error("a proof of {actual} hashes does not fit the sizes of the trees")]
    Length {
        /// How many there are.
        actual: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to root {actual}, not to {expected}")]
    OtherRoot {
        /// The root of the tree.
        expected: TreeHash,
        /// Where the proof leads.
        actual: TreeHash,
    },
}

impl Proof {
    /// A proof of these hashes.
    ///
    /// # Errors
    /// [`ProofError::Length`] beyond [`MAX_PROOF`].
    pub fn new(hashes: Vec<TreeHash>) -> Result<Self, ProofError> {
        if hashes.len() > MAX_PROOF {
            return Err(ProofError::Length { actual: hashes.len() });
        }
        Ok(Self(hashes))
    }

    /// Its hashes, from the leaf towards the root.
    #[must_use]
    pub fn hashes(&self) -> &[TreeHash] {
        &self.0
    }

    /// Checks that `leaf` stands at `index` in the tree of `size` leaves with this `root`: RFC 9162, section
    /// 2.1.3.2.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify_inclusion(
        &self,
        leaf: &TreeHash,
        index: u64,
        size: u64,
        root: &TreeHash,
    ) -> Result<(), ProofError> {
        if index >= size {
            return Err(ProofError::OutOfTree { index, size });
        }
        let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
        for sibling in &self.0 {
            if last == 0 {
                return Err(self.length());
            }
            if at & 1 == 1 || at == last {
                hash = TreeHash::node(sibling, &hash);
                let levels = at.trailing_zeros().min(63);
                (at, last) = (at >> levels, last >> levels);
            } else {
                hash = TreeHash::node(&hash, sibling);
            }
            (at, last) = (at >> 1, last >> 1);
        }
        if last != 0 {
            return Err(self.length());
        }
        equal(&hash, root)
    }

    /// Checks that the tree of `new` leaves with `new_root` begins with that of `old` leaves with `old_root`: RFC
    /// 9162, section 2.1.4.2. Every tree begins with the empty one, and with itself; that takes no hashes.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify_consistency(
        &self,
        (old, old_root): (u64, &TreeHash),
        (new, new_root): (u64, &TreeHash),
    ) -> Result<(), ProofError> {
        if old > new {
            return Err(ProofError::Shrunk { old, new });
        }
        if old == 0 || old == new {
            let expected = if old == 0 { &TreeHash::EMPTY } else { new_root };
            return if self.0.is_empty() { equal(old_root, expected) } else { Err(self.length()) };
        }
        // The root of a complete tree is a node of the newer one, and is left out of the proof.
        let known = old.is_power_of_two().then_some(old_root);
        let mut hashes = known.into_iter().chain(&self.0);
        let first = hashes.next().ok_or_else(|| self.length())?;
        let levels = (old - 1).trailing_ones();
        let (mut at, mut last) = ((old - 1) >> levels, (new - 1) >> levels);
        let (mut older, mut newer) = (*first, *first);
        for hash in hashes {
            if last == 0 {
                return Err(self.length());
            }
            if at & 1 == 1 || at == last {
                older = TreeHash::node(hash, &older);
                newer = TreeHash::node(hash, &newer);
                let levels = at.trailing_zeros().min(63);
                (at, last) = (at >> levels, last >> levels);
            } else {
                newer = TreeHash::node(&newer, hash);
            }
            (at, last) = (at >> 1, last >> 1);
        }
        if last != 0 {
            return Err(self.length());
        }
        equal(&older, old_root)?;
        equal(&newer, new_root)
    }

    fn length(&self) -> ProofError {
        ProofError::Length { actual: self.0.len() }
    }
}

impl TryFrom<Vec<TreeHash>> for Proof {
    type Error = ProofError;

    fn try_from(hashes: Vec<TreeHash>) -> Result<Self, ProofError> {
        Self::new(hashes)
    }
}

impl From<Proof> for Vec<TreeHash> {
    fn from(proof: Proof) -> Self {
        proof.0
    }
}

impl Reaction for ProofError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

fn equal(actual: &TreeHash, expected: &TreeHash) -> Result<(), ProofError> {
    if actual == expected {
        return Ok(());
    }
    Err(ProofError::OtherRoot { expected: *expected, actual: *actual })
}
