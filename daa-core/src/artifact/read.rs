//! Reading an artefact part by part, each verified before it is given.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::blobs::Blob;
use super::outline::{GROUP, Outline, Outlining};
use super::stored::{StoredArtifacts, data, of, outline};
use super::{ArtifactError, ArtifactInfo, ArtifactReader, MAX_ARTIFACT};
use crate::digest::Digest;

#[derive(Clone, Debug)]
pub(super) struct BlobReader {
    store: StoredArtifacts,
    info: ArtifactInfo,
    blob: Arc<dyn Blob>,
    /// `None` where one group is all.
    outline: Option<Arc<Outline>>,
}

impl BlobReader {
    pub(super) async fn open(store: StoredArtifacts, digest: Digest) -> Result<Option<Self>, ArtifactError> {
        let Some(blob) = store.blobs.open(&data(&digest)).await? else { return Ok(None) };
        let stat = blob.stat();
        if stat.size > store.max {
            return Err(ArtifactError::TooLarge { len: stat.size, max: store.max });
        }
        if stat.size == 0 && digest != Digest::of(&[]) {
            return Err(ArtifactError::Corrupt { digest });
        }
        let info = ArtifactInfo::new(digest, stat.size, stat.modified);
        let mut reader = Self { store, info, blob: blob.into(), outline: None };
        if let Some(len) = Outline::len_for(stat.size) {
            let outline = match reader.stored_outline(len).await? {
                Some(outline) => outline,
                None => reader.outline_anew().await?,
            };
            reader.outline = Some(Arc::new(outline));
        }
        Ok(Some(reader))
    }

    /// The outline, if it is there and right.
    async fn stored_outline(&self, len: u64) -> Result<Option<Outline>, ArtifactError> {
        let blob = match self.store.blobs.open(&outline(&self.info.digest)).await {
            Ok(Some(blob)) if blob.stat().size == len => blob,
            Ok(_) | Err(ArtifactError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match blob.read(0..len).await {
            Ok(bytes) => Ok(Outline::verified(&self.info.digest, self.info.size, &bytes)),
            Err(ArtifactError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads everything once, to verify it and to have its outline, which is stored for the next time.
    async fn outline_anew(&self) -> Result<Outline, ArtifactError> {
        let digest = self.info.digest;
        let (windows, ahead) = self.store.windows(0..self.info.size);
        let mut parts = stream::iter(windows).map(|window| self.blob.read(window)).buffered(ahead);
        let mut outlining = Outlining::new();
        while let Some(part) = parts.try_next().await? {
            outlining.update(&part);
        }
        match outlining.finish() {
            (found, Some(parts)) if found == digest => {
                if let Err(error) = self.store.blobs.replace(&outline(&digest), parts.to_bytes()).await {
                    tracing::warn!(%digest, %error, "the outline of an artefact is not stored");
                }
                Ok(parts)
            }
            _ => Err(ArtifactError::Corrupt { digest }),
        }
    }

    fn check(&self, range: &Range<u64>) -> Result<(), ArtifactError> {
        let (start, end, size) = (range.start, range.end, self.info.size);
        if start <= end && end <= size { Ok(()) } else { Err(ArtifactError::OutOfRange { start, end, size }) }
    }

    /// The bytes of a part of the range of a few groups, of which whole ones are read.
    async fn verified(&self, range: Range<u64>) -> Result<Bytes, ArtifactError> {
        let start = range.start / GROUP * GROUP;
        let end = range.end.next_multiple_of(GROUP).min(self.info.size);
        let groups = self.blob.read(start..end).await.map_err(of(&self.info.digest))?;
        let verified = groups.len() as u64 == end - start
            && match &self.outline {
                Some(outline) => outline.has(start / GROUP, &groups),
                None => Digest::of(&groups) == self.info.digest,
            };
        if !verified {
            return Err(ArtifactError::Corrupt { digest: self.info.digest });
        }
        let within = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
        Ok(groups.slice(within(range.start)..within(range.end)))
    }

    fn parts(self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ArtifactError>> {
        let (windows, ahead) = self.store.windows(range);
        let parts = stream::iter(windows).map(move |window| {
            let reader = self.clone();
            async move { reader.verified(window).await }
        });
        parts.buffered(ahead).boxed()
    }
}

#[async_trait]
impl ArtifactReader for BlobReader {
    fn info(&self) -> &ArtifactInfo {
        &self.info
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, ArtifactError> {
        self.check(&range)?;
        let len = range.end - range.start;
        if len > MAX_ARTIFACT as u64 {
            return Err(ArtifactError::TooLarge { len, max: MAX_ARTIFACT as u64 });
        }
        let mut parts = self.clone().parts(range);
        let first = parts.try_next().await?.unwrap_or_default();
        if first.len() as u64 == len {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(usize::try_from(len).unwrap_or(0));
        whole.extend_from_slice(&first);
        while let Some(part) = parts.try_next().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }

    fn stream(self: Box<Self>, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ArtifactError>> {
        if let Err(error) = self.check(&range) {
            return stream::once(async { Err(error) }).boxed();
        }
        let ended = |ended: &mut bool, part: Result<Bytes, ArtifactError>| {
            let before = std::mem::replace(ended, part.is_err());
            std::future::ready((!before).then_some(part))
        };
        self.parts(range).scan(false, ended).boxed()
    }
}
