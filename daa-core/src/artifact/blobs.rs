//! What a store of artefacts needs of an engine.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::ArtifactError;
use crate::clock::Timestamp;

/// Named bytes on an engine: what [`StoredArtifacts`](super::StoredArtifacts) is built on. Whoever brings a new
/// engine implements this, and has artefacts, names, encryption and collection from there.
///
/// Names are made by the store: parts of lower-case letters, digits and `.`, `_`, `-`, `=`, between slashes.
///
/// # Contract
///
/// An implementation must:
/// - show a blob whole or not at all, also after a crash;
/// - acknowledge what is durable, as far as the engine promises that;
/// - show what was acknowledged to everybody who looks afterwards, in lists too;
/// - never give two concurrent [`create`](Self::create)s of one name a `true`;
/// - tell ages by one clock: that of the engine, where several machines share it.
#[async_trait]
pub trait Blobs: Send + Sync + fmt::Debug {
    /// A blob to read; `None` when there is none.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn open(&self, name: &str) -> Result<Option<Box<dyn Blob>>, ArtifactError>;

    /// What is known of a blob; `None` when there is none.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn stat(&self, name: &str) -> Result<Option<BlobStat>, ArtifactError>;

    /// Begins a blob that gets its name when it is complete.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn upload(&self) -> Result<Box<dyn Upload>, ArtifactError>;

    /// Stores a small blob, unless there is one of this name; and whether it did.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn create(&self, name: &str, bytes: Bytes) -> Result<bool, ArtifactError>;

    /// Stores a small blob in place of the one of this name, if there is one.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), ArtifactError>;

    /// Removes a blob, and says whether there was one.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn delete(&self, name: &str) -> Result<bool, ArtifactError>;

    /// The first `limit` blobs, by their names, whose names begin with `under`, which ends with a slash, and come
    /// behind `after`.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn list(
        &self,
        under: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, ArtifactError>;

    /// Removes what uploads left that never got a name, or lost it, and are older than `before`; and how many.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn sweep(&self, before: Timestamp) -> Result<u64, ArtifactError>;

    /// How long a put may rely on not having seen a collection. Zero means that it looks each time; more saves
    /// looks where they are dear, and delays collections by twice as much.
    fn notice(&self) -> Duration {
        Duration::ZERO
    }

    /// How many bytes one read should ask for, and how many reads should be under way at once.
    fn window(&self) -> (u64, usize) {
        (4 << 20, 2)
    }
}

/// A blob that is being read.
#[async_trait]
pub trait Blob: Send + Sync + fmt::Debug {
    /// What is known of it.
    fn stat(&self) -> BlobStat;

    /// Whether it is a file of this machine: one read of everything then takes no longer than several at once, and its
    /// parts need not be put together.
    fn is_local(&self) -> bool {
        false
    }

    /// The bytes of a range that lies within it: all of them, or an error.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn read(&self, range: Range<u64>) -> Result<Bytes, ArtifactError>;
}

/// A blob that is being written. Dropped before it has a name, it leaves nothing that can be seen.
#[async_trait]
pub trait Upload: Send + fmt::Debug {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`ArtifactError`]; the upload is then of no use any more.
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError>;

    /// Gives the blob its name, in place of one that has it. May be called again, with the same name: then it is
    /// as new.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn commit(&mut self, name: &str) -> Result<(), ArtifactError>;
}

/// What is known of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobStat {
    /// How many bytes it has.
    pub size: u64,
    /// When it was stored, the last time.
    pub modified: Timestamp,
}

/// A blob in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobEntry {
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub stat: BlobStat,
}
