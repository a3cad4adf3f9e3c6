//! Artefacts in memory.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::ArtifactError;
use super::blobs::{Blob, BlobEntry, BlobStat, Blobs, Upload};
use super::stored::{OverBlobs, StoredArtifacts};
use crate::clock::{Clock, Timestamp};

/// [`Artifacts`](super::Artifacts) and [`NamedArtifacts`](super::NamedArtifacts) in memory: complete, and gone with the
/// process.
#[derive(Debug)]
pub struct MemoryArtifacts {
    stored: StoredArtifacts,
}

impl MemoryArtifacts {
    /// An empty store with the clock of the machine; without the feature `runtime`, with one that stands still.
    #[must_use]
    pub fn new() -> Self {
        #[cfg(feature = "runtime")]
        let clock = crate::clock::SystemClock::new();
        #[cfg(not(feature = "runtime"))]
        let clock = Still;
        Self::with_clock(Arc::new(clock))
    }

    /// An empty store whose artefacts have their ages by this clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let blobs = MemoryBlobs::new(clock.clone());
        Self { stored: StoredArtifacts::new(Arc::new(blobs), clock) }
    }
}

impl Default for MemoryArtifacts {
    fn default() -> Self {
        Self::new()
    }
}

impl OverBlobs for MemoryArtifacts {
    fn stored(&self) -> &StoredArtifacts {
        &self.stored
    }
}

#[cfg(not(feature = "runtime"))]
#[derive(Debug)]
struct Still;

#[cfg(not(feature = "runtime"))]
#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

type Held = BTreeMap<String, (Bytes, Timestamp)>;

/// [`Blobs`] in memory.
#[derive(Clone, Debug)]
pub struct MemoryBlobs {
    clock: Arc<dyn Clock>,
    held: Arc<Mutex<Held>>,
}

impl MemoryBlobs {
    /// Nothing yet, and ages by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, held: Arc::default() }
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Held) -> T) -> T {
        use_it(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn open(&self, name: &str) -> Result<Option<Box<dyn Blob>>, ArtifactError> {
        let held = self.with(|held| held.get(name).cloned());
        Ok(held.map(|(bytes, modified)| Box::new(HeldBlob { bytes, modified }) as Box<dyn Blob>))
    }

    async fn stat(&self, name: &str) -> Result<Option<BlobStat>, ArtifactError> {
        Ok(self.with(|held| held.get(name).map(stat)))
    }

    async fn upload(&self) -> Result<Box<dyn Upload>, ArtifactError> {
        Ok(Box::new(MemoryUpload { blobs: self.clone(), parts: Vec::new(), whole: None }))
    }

    async fn create(&self, name: &str, bytes: Bytes) -> Result<bool, ArtifactError> {
        let now = self.clock.now();
        Ok(self.with(|held| {
            let is_new = !held.contains_key(name);
            if is_new {
                held.insert(name.to_owned(), (bytes, now));
            }
            is_new
        }))
    }

    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), ArtifactError> {
        let now = self.clock.now();
        self.with(|held| held.insert(name.to_owned(), (bytes, now)));
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<bool, ArtifactError> {
        Ok(self.with(|held| held.remove(name).is_some()))
    }

    async fn list(
        &self,
        under: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, ArtifactError> {
        let from = match after {
            Some(after) if after >= under => Bound::Excluded(after),
            _ => Bound::Included(under),
        };
        Ok(self.with(|held| {
            let behind = held.range::<str, _>((from, Bound::Unbounded));
            let entries = behind.take_while(|(name, _)| name.starts_with(under)).take(limit);
            entries.map(|(name, held)| BlobEntry { name: name.clone(), stat: stat(held) }).collect()
        }))
    }

    async fn sweep(&self, _: Timestamp) -> Result<u64, ArtifactError> {
        Ok(0)
    }
}

fn stat((bytes, modified): &(Bytes, Timestamp)) -> BlobStat {
    BlobStat { size: bytes.len() as u64, modified: *modified }
}

#[derive(Debug)]
struct HeldBlob {
    bytes: Bytes,
    modified: Timestamp,
}

#[async_trait]
impl Blob for HeldBlob {
    fn stat(&self) -> BlobStat {
        BlobStat { size: self.bytes.len() as u64, modified: self.modified }
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, ArtifactError> {
        let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.bytes.len());
        Ok(self.bytes.slice(at(range.start)..at(range.end)))
    }
}

#[derive(Debug)]
struct MemoryUpload {
    blobs: MemoryBlobs,
    parts: Vec<Bytes>,
    whole: Option<Bytes>,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError> {
        self.parts.push(bytes);
        Ok(())
    }

    async fn commit(&mut self, name: &str) -> Result<(), ArtifactError> {
        let parts = std::mem::take(&mut self.parts);
        let whole = self.whole.get_or_insert_with(|| match <[Bytes; 1]>::try_from(parts) {
            Ok([one]) => one,
            Err(parts) => parts.concat().into(),
        });
        self.blobs.replace(name, whole.clone()).await
    }
}
