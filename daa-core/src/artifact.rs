//! Artefacts: large immutable bytes (checkpoints, updates, evidence), addressed by their content.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::digest::Digest;
use crate::fault::{Fault, Reaction, Retry};

#[cfg(all(feature = "test-util", feature = "runtime"))]
pub mod testing;

/// The largest artefact, in bytes (1 GiB).
pub const MAX_ARTIFACT: usize = 1 << 30;

/// A store of immutable bytes, addressed by their BLAKE3 digest.
///
/// # Contract
///
/// An implementation must:
/// - acknowledge a `put` only when the bytes are as durable as it promises;
/// - return from `get` only bytes whose digest is the one that was asked for, and otherwise
///   [`ArtifactError::Corrupt`];
/// - make a second `put` of the same bytes a success without effect;
/// - never show a half-written artefact, also after a crash in the middle of a `put`.
///
/// The suite in `artifact::testing` (feature `test-util`) checks that; every implementation runs it.
#[async_trait]
pub trait Artifacts: Send + Sync + fmt::Debug {
    /// Stores bytes and returns their address.
    ///
    /// # Errors
    /// [`ArtifactError`]; nothing is stored then.
    ///
    /// # Cancel safety
    /// A dropped future leaves the artefact either whole or absent.
    async fn put(&self, bytes: Bytes) -> Result<Digest, ArtifactError>;

    /// The bytes at an address; `None` when there are none.
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be read or holds other bytes there.
    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, ArtifactError>;

    /// Removes the bytes at an address, and says whether there were any.
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be changed.
    async fn remove(&self, digest: &Digest) -> Result<bool, ArtifactError>;

    /// All addresses, sorted.
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be read.
    async fn list(&self) -> Result<Vec<Digest>, ArtifactError>;
}

/// Why an artefact was not stored or not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// More than [`MAX_ARTIFACT`] bytes.
    #[error("an artefact has at most {MAX_ARTIFACT} bytes, this one has {len}")]
    TooLarge {
        /// Its length.
        len: usize,
    },
    /// The stored bytes do not have the digest they are stored under.
    #[error("the artefact stored as {digest} has other content")]
    Corrupt {
        /// The address.
        digest: Digest,
    },
    /// The disk is full.
    #[error("no space is left for the artefact")]
    Full {
        /// What the engine said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The store was opened read-only.
    #[error("the artefact store is read-only")]
    ReadOnly,
    /// The engine failed.
    #[error("the artefact store is unavailable")]
    Unavailable {
        /// What the engine said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Reaction for ArtifactError {
    fn fault(&self) -> Fault {
        match self {
            Self::TooLarge { .. } => Fault::Caller,
            Self::Corrupt { .. } | Self::Full { .. } | Self::ReadOnly | Self::Unavailable { .. } => {
                Fault::Environment
            }
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Full { .. } | Self::Unavailable { .. } => Retry::Later,
            Self::TooLarge { .. } | Self::Corrupt { .. } | Self::ReadOnly => Retry::Never,
        }
    }
}

/// [`Artifacts`] in memory: complete, and gone with the process.
#[derive(Debug, Default)]
pub struct MemoryArtifacts {
    held: Mutex<HashMap<Digest, Bytes>>,
}

impl MemoryArtifacts {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut HashMap<Digest, Bytes>) -> T) -> T {
        use_it(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Artifacts for MemoryArtifacts {
    async fn put(&self, bytes: Bytes) -> Result<Digest, ArtifactError> {
        if bytes.len() > MAX_ARTIFACT {
            return Err(ArtifactError::TooLarge { len: bytes.len() });
        }
        let digest = Digest::of(&bytes);
        self.with(|held| held.insert(digest, bytes));
        Ok(digest)
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, ArtifactError> {
        Ok(self.with(|held| held.get(digest).cloned()))
    }

    async fn remove(&self, digest: &Digest) -> Result<bool, ArtifactError> {
        Ok(self.with(|held| held.remove(digest).is_some()))
    }

    async fn list(&self) -> Result<Vec<Digest>, ArtifactError> {
        let mut digests: Vec<Digest> = self.with(|held| held.keys().copied().collect());
        digests.sort_unstable();
        Ok(digests)
    }
}
