//! Artefacts over any engine.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::blobs::{Blob, Blobs};
use super::outline::GROUP;
use super::read::BlobReader;
use super::seal::{ArtifactCipher, Sealed};
use super::sweep::Sweeps;
use super::write::BlobWriter;
use super::{ArtifactError, ArtifactInfo, ArtifactReader, ArtifactWriter, Artifacts, MAX_ARTIFACT};
use crate::clock::Clock;
use crate::digest::Digest;

/// The largest artefact that a store takes as a stream, unless it is told otherwise (1 TiB). Writing and reading one
/// takes 32 bytes of memory for each MiB of it.
const MAX_STREAMED: u64 = 1 << 40;
const PAGE: usize = 1_000;
/// How often a put looks whether a collection that is about to remove the same artefact is through with it, and how
/// long it believes that the collection is alive.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const DATA: &str = "data/";
pub(super) const OUTLINES: &str = "outline/";

pub(super) fn data(digest: &Digest) -> String {
    format!("{DATA}{digest}")
}

pub(super) fn outline(digest: &Digest) -> String {
    format!("{OUTLINES}{digest}")
}

/// [`Artifacts`] and [`NamedArtifacts`](super::NamedArtifacts) over [`Blobs`].
///
/// | blobs | content |
/// |---|---|
/// | `data/DIGEST` | the bytes of an artefact, as they are |
/// | `outline/DIGEST` | the digests of its parts, for one of more than 1 MiB; made again when missing or damaged |
/// | `names/NAME`, `versions/NAME/…`, `tags/NAME/TAG/…` | names, their versions, their tags |
/// | `sweep/…` | the collection that is under way |
///
/// With a cipher, all of that is under `sealed/`, and what is outside is not seen.
#[derive(Clone, Debug)]
pub struct StoredArtifacts {
    pub(super) blobs: Arc<dyn Blobs>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) max: u64,
    pub(super) sweeps: Arc<Sweeps>,
}

impl StoredArtifacts {
    /// Artefacts on an engine. The clock is for waiting only; ages are told by the engine.
    #[must_use]
    pub fn new(blobs: Arc<dyn Blobs>, clock: Arc<dyn Clock>) -> Self {
        Self { blobs, clock, max: MAX_STREAMED, sweeps: Arc::default() }
    }

    /// The most bytes of an artefact that is put as a stream. 1 TiB, if it is not said.
    #[must_use]
    pub const fn with_max_size(mut self, bytes: u64) -> Self {
        self.max = bytes;
        self
    }

    /// The artefacts that are sealed with a cipher on this engine. The address of one is still the digest of its plain
    /// bytes: whoever sees the engine can tell whether it holds bytes that he has, how large they are, and the names.
    #[must_use]
    pub fn sealed(&self, cipher: Arc<dyn ArtifactCipher>) -> Self {
        let blobs = Arc::new(Sealed::new(self.blobs.clone(), cipher));
        Self { blobs, sweeps: Arc::default(), ..self.clone() }
    }

    /// Whether the engine answers, and lets us in: writes, reads, lists and removes a small blob.
    ///
    /// # Errors
    /// [`ArtifactError`]: what is wrong with it.
    pub async fn check(&self) -> Result<(), ArtifactError> {
        let token = token();
        let name = format!("check/{token}");
        self.blobs.replace(&name, Bytes::from(token.clone())).await?;
        let read = self.blobs.open(&name).await;
        let deleted = self.blobs.delete(&name).await?;
        let Some(blob) = read? else {
            return Err(ArtifactError::Damaged { name });
        };
        let same = blob.read(0..blob.stat().size.min(PAGE as u64)).await? == token;
        if same && deleted { Ok(()) } else { Err(ArtifactError::Damaged { name }) }
    }

    /// When something begins that [`stays`](Self::stays) asks about.
    pub(super) fn begin(&self) -> Option<Instant> {
        (!self.blobs.notice().is_zero()).then(Instant::now)
    }

    /// Whether an artefact that was stored or named since `began` is there, and no collection that is under way removes
    /// it. Waits for one that is about to.
    pub(super) async fn stays(&self, digest: &Digest, began: Option<Instant>) -> Result<bool, ArtifactError> {
        if began.is_some_and(|began| self.sweeps.were_calm(self.blobs.notice(), began)) {
            return Ok(true);
        }
        let deadline = self.clock.now() + PATIENCE;
        while self.sweeps.dooms(&*self.blobs, digest).await? && self.clock.now() < deadline {
            self.clock.sleep(LOOK).await;
        }
        // One may have removed it, and be through with it, before we looked.
        Ok(self.blobs.stat(&data(digest)).await?.is_some())
    }

    /// Entries of `data/` that are artefacts, behind `after`.
    async fn entries(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<ArtifactInfo>, ArtifactError> {
        let (mut found, mut after) = (Vec::new(), after.map(data));
        while found.len() < limit {
            let wanted = (limit - found.len()).min(PAGE);
            let entries = self.blobs.list(DATA, after.as_deref(), wanted).await?;
            let is_last = entries.len() < wanted;
            after = entries.last().map(|entry| entry.name.clone());
            // What else lies there is not ours.
            found.extend(entries.into_iter().filter_map(|entry| {
                let digest: Digest = entry.name.strip_prefix(DATA)?.parse().ok()?;
                (data(&digest) == entry.name)
                    .then(|| ArtifactInfo::new(digest, entry.stat.size, entry.stat.modified))
            }));
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    /// The parts that a range is read in, and how many of them at once.
    pub(super) fn windows(&self, range: Range<u64>) -> (Vec<Range<u64>>, usize) {
        let (window, ahead) = self.blobs.window();
        (windows(range, window.max(1).next_multiple_of(GROUP)), ahead.max(1))
    }
}

/// Parts of a range, of which all but the first begin at a multiple of `window`.
fn windows(range: Range<u64>, window: u64) -> Vec<Range<u64>> {
    let mut windows = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let end = (start / window + 1).saturating_mul(window).min(range.end);
        windows.push(start..end);
        start = end;
    }
    windows
}

/// What tells a record of ours from another's.
pub(super) fn token() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}

/// Damage to the bytes of an artefact is told with its address.
pub(super) fn of(digest: &Digest) -> impl Fn(ArtifactError) -> ArtifactError + Clone + use<> {
    let (name, digest) = (data(digest), *digest);
    move |error| match error {
        ArtifactError::Damaged { name: damaged } if damaged.ends_with(&name) => {
            ArtifactError::Corrupt { digest }
        }
        error => error,
    }
}

/// Who has artefacts over blobs: makes a type that wraps [`StoredArtifacts`] a store of artefacts itself.
pub trait OverBlobs: Send + Sync + std::fmt::Debug {
    /// The artefacts.
    fn stored(&self) -> &StoredArtifacts;
}

impl OverBlobs for StoredArtifacts {
    fn stored(&self) -> &StoredArtifacts {
        self
    }
}

#[async_trait]
impl<T: OverBlobs> Artifacts for T {
    async fn put(&self, bytes: Bytes) -> Result<Digest, ArtifactError> {
        if bytes.len() > MAX_ARTIFACT {
            return Err(ArtifactError::TooLarge { len: bytes.len() as u64, max: MAX_ARTIFACT as u64 });
        }
        let mut writer = self.writer().await?;
        writer.write(bytes).await?;
        writer.finish().await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, ArtifactError> {
        let stored = self.stored();
        let Some(blob) = stored.blobs.open(&data(digest)).await.map_err(of(digest))? else {
            return Ok(None);
        };
        let size = blob.stat().size;
        if size > MAX_ARTIFACT as u64 {
            return Err(ArtifactError::TooLarge { len: size, max: MAX_ARTIFACT as u64 });
        }
        let (bytes, found) = stored.whole(&*blob, size).await.map_err(of(digest))?;
        if found == *digest { Ok(Some(bytes)) } else { Err(ArtifactError::Corrupt { digest: *digest }) }
    }

    async fn remove(&self, digest: &Digest) -> Result<bool, ArtifactError> {
        let removed = self.stored().blobs.delete(&data(digest)).await?;
        self.stored().blobs.delete(&outline(digest)).await?;
        Ok(removed)
    }

    async fn list(&self) -> Result<Vec<Digest>, ArtifactError> {
        let entries = self.stored().entries(None, usize::MAX).await?;
        Ok(entries.into_iter().map(|entry| entry.digest).collect())
    }

    async fn page(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<ArtifactInfo>, ArtifactError> {
        self.stored().entries(after, limit).await
    }

    async fn writer(&self) -> Result<Box<dyn ArtifactWriter>, ArtifactError> {
        Ok(Box::new(BlobWriter::begin(self.stored().clone()).await?))
    }

    async fn open(&self, digest: &Digest) -> Result<Option<Box<dyn ArtifactReader>>, ArtifactError> {
        let reader = BlobReader::open(self.stored().clone(), *digest).await.map_err(of(digest))?;
        Ok(reader.map(|reader| Box::new(reader) as Box<dyn ArtifactReader>))
    }
}

impl StoredArtifacts {
    /// All bytes of a blob, and their digest.
    async fn whole(&self, blob: &dyn Blob, size: u64) -> Result<(Bytes, Digest), ArtifactError> {
        let (windows, ahead) = self.windows(0..size);
        if windows.len() < 2 || blob.is_local() {
            let bytes = blob.read(0..size).await?;
            let digest = Digest::of(&bytes);
            return Ok((bytes, digest));
        }
        let mut parts = stream::iter(windows).map(|window| blob.read(window)).buffered(ahead);
        let mut whole = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
        let mut hasher = blake3::Hasher::new();
        while let Some(part) = parts.try_next().await? {
            hasher.update(&part);
            whole.extend_from_slice(&part);
        }
        Ok((whole.freeze(), Digest::from_bytes(*hasher.finalize().as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_range_and_are_aligned() {
        assert_eq!(windows(0..0, 8), []);
        let one = |range: Range<u64>| vec![range];
        assert_eq!(windows(0..8, 8), one(0..8));
        assert_eq!(windows(3..20, 8), [3..8, 8..16, 16..20]);
        assert_eq!(windows(u64::MAX - 1..u64::MAX, 8), one(u64::MAX - 1..u64::MAX));
    }
}
