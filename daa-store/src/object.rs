//! Artefacts in object stores: S3, GCS, Azure, and whatever else `object_store` reaches.
//!
//! | object | content |
//! |---|---|
//! | `PREFIX/NAME` | a blob of up to one part (8 MiB) and a byte 0; or where a larger one is and a byte 1 |
//! | `PREFIX/uploads/ID` | the bytes of a larger blob, as they were uploaded in parts |
//!
//! A larger artefact is uploaded before its digest is known, to a place of its own, and appears when the small object
//! at its address points there. So nothing is copied, however large it is, and nothing is seen before it is whole.
//! What is left of uploads that never got that far is removed by a collection; the parts of multipart uploads that were
//! never completed are seen by no interface but that of the bucket's lifecycle rules
//! (`AbortIncompleteMultipartUpload`), so let it have one.

use std::sync::Arc;
use std::time::Duration;

use daa_core::artifact::{ArtifactCipher, ArtifactError, OverBlobs, StoredArtifacts};
use daa_core::clock::SystemClock;
use object_store::ObjectStore;

mod blobs;
#[cfg(feature = "cloud")]
mod bucket;
mod error;
#[cfg(feature = "cloud")]
mod http;
mod listing;
mod pointer;
mod upload;

use blobs::ObjectBlobs;
#[cfg(feature = "cloud")]
pub use bucket::{Bucket, BucketError};

/// S3 takes no smaller parts, but for the last.
const MIN_PART: usize = 5 << 20;
/// S3 takes no more parts of one upload.
const MAX_PARTS: u64 = 10_000;

/// [`Artifacts`](daa_core::artifact::Artifacts) and [`NamedArtifacts`](daa_core::artifact::NamedArtifacts) in any object
/// store that creates an object only where none is (`If-None-Match: *`).
///
/// A put is acknowledged when the object store has acknowledged all of its objects. Ages are told by the object store.
/// Memory is bounded by the size of a part times how many are under way, whatever the size of an artefact.
#[derive(Clone, Debug)]
pub struct ObjectArtifacts {
    stored: StoredArtifacts,
}

impl ObjectArtifacts {
    /// Artefacts in an object store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, options: &ObjectOptions) -> Self {
        let max = options.part as u64 * MAX_PARTS;
        let blobs = Arc::new(ObjectBlobs::new(store, options));
        Self { stored: StoredArtifacts::new(blobs, Arc::new(SystemClock::new())).with_max_size(max) }
    }

    /// The artefacts that are sealed with a cipher in this object store. See [`StoredArtifacts::sealed`].
    #[must_use]
    pub fn sealed(&self, cipher: Arc<dyn ArtifactCipher>) -> Self {
        Self { stored: self.stored.sealed(cipher) }
    }

    /// Whether the object store answers, and lets us write, read, list and remove.
    ///
    /// # Errors
    /// [`ArtifactError`]: what is wrong with it.
    pub async fn check(&self) -> Result<(), ArtifactError> {
        self.stored.check().await
    }
}

impl OverBlobs for ObjectArtifacts {
    fn stored(&self) -> &StoredArtifacts {
        &self.stored
    }
}

/// What can be chosen about [`ObjectArtifacts`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ObjectOptions {
    prefix: String,
    part: usize,
    at_once: usize,
    notice: Duration,
    lists_in_order: bool,
}

impl Default for ObjectOptions {
    /// No prefix, parts of 8 MiB, four of them at once for each artefact, a second of notice, lists in no order.
    fn default() -> Self {
        Self {
            prefix: String::new(),
            part: 8 << 20,
            at_once: 4,
            notice: Duration::from_secs(1),
            lists_in_order: false,
        }
    }
}

impl ObjectOptions {
    /// Where the objects are: `a/b` puts them under `a/b/`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        prefix.trim_matches('/').clone_into(&mut self.prefix);
        self
    }

    /// The size of the parts that an artefact is uploaded in, 5 MiB to 1 GiB. An artefact has at most 10,000 of them.
    #[must_use]
    pub fn with_part_size(mut self, bytes: usize) -> Self {
        self.part = bytes.clamp(MIN_PART, 1 << 30);
        self
    }

    /// How many parts of one artefact are uploaded or downloaded at once, at least one.
    #[must_use]
    pub fn with_concurrency(mut self, parts: usize) -> Self {
        self.at_once = parts.max(1);
        self
    }

    /// How long a put may rely on not having seen a collection, which saves a request for each put in that time; a
    /// collection waits twice as long after it began. All who share an object store must agree on it.
    #[must_use]
    pub const fn with_notice(mut self, notice: Duration) -> Self {
        self.notice = notice;
        self
    }

    /// That the object store lists in the order of the names, as S3, GCS and Azure do: then a page costs one request,
    /// and otherwise a list of everything.
    #[must_use]
    pub const fn with_ordered_listing(mut self) -> Self {
        self.lists_in_order = true;
        self
    }
}
