//! Seeded randomness: every random choice of the project derives from one seed and a path of labels.

use chacha20::ChaCha12Rng;
use rand::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The random generator that a [`Seed`] yields: ChaCha12, the same stream on every platform.
pub type Rng = ChaCha12Rng;

/// A root of randomness.
///
/// Children are derived by label and number, so that adding a consumer never shifts the choices of another:
///
/// ```
/// use daa_core::seed::Seed;
/// use rand::Rng as _;
///
/// let run = Seed::from_u64(7);
/// let mut shuffle = run.child("shuffle").rng();
/// let mut again = Seed::from_u64(7).child("shuffle").rng();
/// assert_eq!(shuffle.next_u64(), again.next_u64());
/// assert_ne!(shuffle.next_u64(), run.child("weights").rng().next_u64());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seed(Digest);

impl Seed {
    /// The seed of a number that a person chose.
    #[must_use]
    pub fn from_u64(value: u64) -> Self {
        Self(Digest::builder("daa seed v1").number(value).finish())
    }

    /// The seed that a public, unpredictable value fixes, such as the digest of all commitments of a round.
    #[must_use]
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// The child of this label.
    #[must_use]
    pub fn child(&self, label: &str) -> Self {
        Self(Digest::builder("daa seed child v1").field(self.0.as_bytes()).field(label.as_bytes()).finish())
    }

    /// The child of this number: a round, an index, a step.
    #[must_use]
    pub fn nth(&self, index: u64) -> Self {
        Self(Digest::builder("daa seed nth v1").field(self.0.as_bytes()).number(index).finish())
    }

    /// A fresh generator that starts at this seed.
    #[must_use]
    pub fn rng(&self) -> Rng {
        Rng::from_seed(*self.0.as_bytes())
    }

    /// Eight bytes of this seed, for libraries that are seeded with a number.
    #[must_use]
    pub fn to_u64(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = *self.0.as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}
