//! Artefacts: large immutable bytes (checkpoints, updates, evidence), addressed by their content.
//!
//! - [`Artifacts`]: bytes in, digest out, and back; whole, as a stream, or a range, always verified;
//! - [`NamedArtifacts`]: names with versions and tags, and the collection of what nothing reaches;
//! - [`MemoryArtifacts`]: both, in memory;
//! - [`StoredArtifacts`]: both, over any engine that implements [`Blobs`], sealed by an [`ArtifactCipher`] if wished.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, TryStreamExt as _};

use crate::clock::Timestamp;
use crate::digest::Digest;

mod blobs;
mod collect;
mod error;
mod memory;
mod names;
mod outline;
mod read;
mod record;
mod reference;
mod seal;
mod stored;
mod sweep;
#[cfg(all(feature = "test-util", feature = "runtime"))]
pub mod testing;
mod write;

pub use blobs::{Blob, BlobEntry, BlobStat, Blobs, Upload};
pub use collect::{CollectError, Collected, NothingMore, Reachability};
pub use error::ArtifactError;
pub use memory::{MemoryArtifacts, MemoryBlobs};
pub use names::NamedArtifacts;
pub use reference::{
    ArtifactVersion, ParseReferenceError, Reference, ReferenceError, ReferenceName, Tag, Which,
};
pub use seal::{ArtifactCipher, BlobCipher, CipherError, SEAL_OVERHEAD};
pub use stored::{OverBlobs, StoredArtifacts};

/// The largest artefact that is held in memory as a whole, in bytes (1 GiB). Streams may be longer.
pub const MAX_ARTIFACT: usize = 1 << 30;

/// A store of immutable bytes, addressed by their BLAKE3 digest.
///
/// # Contract
///
/// An implementation must:
/// - acknowledge a put only when the bytes are as durable as it promises;
/// - give only bytes that are verified against the digest that was asked for, also those of a range or of a stream,
///   and otherwise [`ArtifactError::Corrupt`];
/// - make a second put of the same bytes a success without effect, but that it is as young as a new one;
/// - never show a half-written artefact, also after a crash in the middle of a put;
/// - hold no more of a stream in memory than a bounded window, however long it is.
///
/// The suite in `artifact::testing` (feature `test-util`) checks that; every implementation runs it.
#[async_trait]
pub trait Artifacts: Send + Sync + fmt::Debug {
    /// Stores bytes and returns their address.
    ///
    /// # Errors
    /// [`ArtifactError`]; nothing is stored then. [`ArtifactError::TooLarge`] for more than [`MAX_ARTIFACT`].
    ///
    /// # Cancel safety
    /// A dropped future leaves the artefact either whole or absent.
    async fn put(&self, bytes: Bytes) -> Result<Digest, ArtifactError>;

    /// The bytes at an address; `None` when there are none.
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be read or holds other bytes there.
    /// [`ArtifactError::TooLarge`] for more than [`MAX_ARTIFACT`].
    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, ArtifactError>;

    /// Removes the bytes at an address, and says whether there were any. Whoever uses names leaves that to
    /// [`NamedArtifacts::collect`], which knows what is still reached.
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be changed.
    async fn remove(&self, digest: &Digest) -> Result<bool, ArtifactError>;

    /// All addresses, sorted. For those of a large store, see [`page`](Self::page).
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be read.
    async fn list(&self) -> Result<Vec<Digest>, ArtifactError>;

    /// The first `limit` artefacts behind the address `after`, by their addresses. Fewer are the last.
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be read.
    async fn page(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<ArtifactInfo>, ArtifactError>;

    /// Begins an artefact that is written part by part.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn writer(&self) -> Result<Box<dyn ArtifactWriter>, ArtifactError>;

    /// Opens an artefact to be read part by part; `None` when there is none.
    ///
    /// # Errors
    /// [`ArtifactError`] when the store cannot be read, or it is seen already that it holds other bytes there.
    async fn open(&self, digest: &Digest) -> Result<Option<Box<dyn ArtifactReader>>, ArtifactError>;
}

/// An artefact that is being written. Dropped before it is finished, it leaves nothing.
#[async_trait]
pub trait ArtifactWriter: Send + fmt::Debug {
    /// Appends bytes. Waits while too many are under way.
    ///
    /// # Errors
    /// [`ArtifactError`]; the artefact cannot be finished then. [`ArtifactError::TooLarge`] when it has become larger
    /// than the store takes.
    ///
    /// # Cancel safety
    /// After a dropped future the artefact cannot be finished.
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError>;

    /// Finishes the artefact and returns its address.
    ///
    /// # Errors
    /// [`ArtifactError`]; nothing is stored then.
    ///
    /// # Cancel safety
    /// A dropped future leaves the artefact either whole or absent.
    async fn finish(self: Box<Self>) -> Result<Digest, ArtifactError>;
}

/// An artefact that is being read.
#[async_trait]
pub trait ArtifactReader: Send + Sync + fmt::Debug {
    /// What is known of it.
    fn info(&self) -> &ArtifactInfo;

    /// The bytes of a range, verified.
    ///
    /// # Errors
    /// [`ArtifactError`]: [`OutOfRange`](ArtifactError::OutOfRange) for a range that is not within it,
    /// [`TooLarge`](ArtifactError::TooLarge) for one of more than [`MAX_ARTIFACT`] bytes.
    async fn read(&self, range: Range<u64>) -> Result<Bytes, ArtifactError>;

    /// The bytes of a range, in parts of which each is verified before it is given. Ends after an error.
    fn stream(self: Box<Self>, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ArtifactError>>;
}

/// What is known of an artefact without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArtifactInfo {
    /// Its address.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// When it was put, the last time, by the clock of the engine.
    pub created: Timestamp,
}

impl ArtifactInfo {
    /// What is known of an artefact.
    #[must_use]
    pub const fn new(digest: Digest, size: u64, created: Timestamp) -> Self {
        Self { digest, size, created }
    }
}

/// What every store of artefacts can do in one call.
#[async_trait]
pub trait ArtifactsExt: Artifacts {
    /// Stores the bytes of a stream and returns their address.
    ///
    /// # Errors
    /// [`ArtifactError`]; nothing is stored then. [`ArtifactError::Source`] when the stream yields an error.
    ///
    /// # Cancel safety
    /// A dropped future leaves the artefact either whole or absent.
    async fn put_stream<S, E>(&self, stream: S) -> Result<Digest, ArtifactError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let mut writer = self.writer().await?;
        let mut stream =
            std::pin::pin!(stream.map_err(|error| ArtifactError::Source { source: error.into() }));
        while let Some(bytes) = stream.try_next().await? {
            writer.write(bytes).await?;
        }
        writer.finish().await
    }

    /// The bytes at an address as a stream, each part verified before it is given; `None` when there are none.
    ///
    /// # Errors
    /// As [`Artifacts::open`].
    async fn stream(
        &self,
        digest: &Digest,
    ) -> Result<Option<BoxStream<'static, Result<Bytes, ArtifactError>>>, ArtifactError> {
        let reader = self.open(digest).await?;
        Ok(reader.map(|reader| {
            let size = reader.info().size;
            reader.stream(0..size)
        }))
    }

    /// The bytes of a range, verified; `None` when there is no such artefact.
    ///
    /// # Errors
    /// As [`Artifacts::open`] and [`ArtifactReader::read`].
    async fn range(&self, digest: &Digest, range: Range<u64>) -> Result<Option<Bytes>, ArtifactError> {
        match self.open(digest).await? {
            Some(reader) => reader.read(range).await.map(Some),
            None => Ok(None),
        }
    }
}

impl<A: Artifacts + ?Sized> ArtifactsExt for A {}
