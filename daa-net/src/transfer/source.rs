//! Who has contents.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::digest::Digest;

use super::Outline;

/// Has contents that other nodes may fetch: every node of the network that knows the digest.
#[async_trait]
pub trait Source: Send + Sync + fmt::Debug {
    /// The outline of a content; `None` where it is not here. It is asked for by each node that fetches, so it should be at hand.
    ///
    /// # Errors
    /// When it cannot be told.
    async fn outline(&self, digest: &Digest) -> io::Result<Option<Arc<Outline>>>;

    /// The bytes of a range that is within the content and not longer than [`GROUP`](super::GROUP).
    ///
    /// # Errors
    /// When they cannot be read.
    async fn read(&self, digest: &Digest, range: Range<u64>) -> io::Result<Bytes>;
}

type Map<T> = RwLock<HashMap<Digest, (Arc<Outline>, T)>>;

fn found<T: Clone>(map: &Map<T>, digest: &Digest) -> Option<(Arc<Outline>, T)> {
    map.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
}

fn added<T>(map: &Map<T>, outline: Outline, has: T) -> Digest {
    let digest = outline.digest();
    map.write().unwrap_or_else(PoisonError::into_inner).insert(digest, (Arc::new(outline), has));
    digest
}

fn removed<T>(map: &Map<T>, digest: &Digest) -> bool {
    map.write().unwrap_or_else(PoisonError::into_inner).remove(digest).is_some()
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

/// Contents in memory.
#[derive(Default)]
pub struct MemorySource {
    contents: Map<Bytes>,
}

impl MemorySource {
    /// Without contents.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a content, and gives its name.
    pub fn add(&self, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        added(&self.contents, Outline::of(&bytes), bytes)
    }

    /// Takes a content away, and says whether it was there.
    pub fn remove(&self, digest: &Digest) -> bool {
        removed(&self.contents, digest)
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn outline(&self, digest: &Digest) -> io::Result<Option<Arc<Outline>>> {
        Ok(found(&self.contents, digest).map(|(outline, _)| outline))
    }

    async fn read(&self, digest: &Digest, range: Range<u64>) -> io::Result<Bytes> {
        let (_, bytes) = found(&self.contents, digest).ok_or_else(missing)?;
        let range = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let range = range.filter(|(start, end)| start <= end && *end <= bytes.len());
        range.map(|(start, end)| bytes.slice(start..end)).ok_or_else(missing)
    }
}

impl fmt::Debug for MemorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySource").finish_non_exhaustive()
    }
}

/// Contents in files that do not change. Where one does, who fetches notices, and believes that this node lies.
#[derive(Default)]
pub struct FileSource {
    contents: Map<PathBuf>,
}

impl FileSource {
    /// Without contents.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, reading all of it, and gives its name.
    ///
    /// # Errors
    /// When it cannot be read.
    ///
    /// # Cancel safety
    /// It is not added then; it may be read to its end all the same.
    pub async fn add(&self, path: impl Into<PathBuf>) -> io::Result<Digest> {
        let path = path.into();
        let opened = path.clone();
        let outline = tokio::task::spawn_blocking(move || Outline::read(File::open(opened)?)).await;
        Ok(added(&self.contents, outline.map_err(io::Error::other)??, path))
    }

    /// Takes a content away, and says whether it was there. The file stays.
    pub fn remove(&self, digest: &Digest) -> bool {
        removed(&self.contents, digest)
    }
}

#[async_trait]
impl Source for FileSource {
    async fn outline(&self, digest: &Digest) -> io::Result<Option<Arc<Outline>>> {
        Ok(found(&self.contents, digest).map(|(outline, _)| outline))
    }

    async fn read(&self, digest: &Digest, range: Range<u64>) -> io::Result<Bytes> {
        let (_, path) = found(&self.contents, digest).ok_or_else(missing)?;
        let reading = tokio::task::spawn_blocking(move || read(&path, &range));
        reading.await.map_err(io::Error::other)?.map(Bytes::from)
    }
}

fn read(path: &PathBuf, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(range.start))?;
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSource").finish_non_exhaustive()
    }
}
