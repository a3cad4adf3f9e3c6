//! Blobs as objects.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{ArtifactError, Blob, BlobEntry, BlobStat, Blobs, Upload};
use daa_core::clock::Timestamp;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{
    Error, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};

use super::ObjectOptions;
use super::error::{failed, there};
use super::listing::page;
use super::pointer::{Content, INLINE_MARK, POINTER, Pointer, UploadId};
use super::upload::ObjectUpload;

const UPLOADS: &str = "uploads/";
const AT_ONCE: usize = 8;
const PAGE: usize = 1_000;

/// [`Blobs`] in an object store.
#[derive(Clone, Debug)]
pub(super) struct ObjectBlobs {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) options: Arc<ObjectOptions>,
}

/// The object that has the name of a blob.
#[derive(Debug)]
struct Found {
    content: Content,
    meta: ObjectMeta,
    /// It is a file.
    is_local: bool,
}

impl ObjectBlobs {
    pub(super) fn new(store: Arc<dyn ObjectStore>, options: &ObjectOptions) -> Self {
        Self { store, options: Arc::new(options.clone()) }
    }

    fn path(&self, name: &str) -> Result<Path, ArtifactError> {
        let prefix = &self.options.prefix;
        let whole = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        Path::parse(whole).map_err(ArtifactError::unavailable)
    }

    pub(super) fn upload_path(&self, upload: UploadId) -> Result<Path, ArtifactError> {
        self.path(&format!("{UPLOADS}{upload}"))
    }

    /// The name of an object, without the prefix.
    fn name<'a>(&self, path: &'a Path) -> Option<&'a str> {
        let path = path.as_ref();
        if self.options.prefix.is_empty() {
            return Some(path);
        }
        path.strip_prefix(self.options.prefix.as_str())?.strip_prefix('/')
    }

    /// The longest object with the bytes of a blob.
    fn max_inline(&self) -> u64 {
        // As long as the largest part there may be: others may have chosen another size than we did.
        (1 << 30) + 1
    }

    async fn content(&self, name: &str) -> Result<Option<Found>, ArtifactError> {
        let Some(got) = there(self.store.get(&self.path(name)?).await)? else { return Ok(None) };
        let damaged = || ArtifactError::Damaged { name: name.to_owned() };
        let meta = got.meta.clone();
        if meta.size > self.max_inline() {
            return Err(damaged());
        }
        let is_local = !matches!(got.payload, GetResultPayload::Stream(_));
        // It may have been removed since.
        let Some(object) = there(got.bytes().await)? else { return Ok(None) };
        Ok(Some(Found { content: Content::parse(object).ok_or_else(damaged)?, meta, is_local }))
    }

    /// Where the bytes of a blob are, if they are not in its own object.
    pub(super) async fn pointer(&self, name: &str) -> Result<Option<Pointer>, ArtifactError> {
        match there(self.store.head(&self.path(name)?).await)? {
            Some(meta) if meta.size == POINTER => {}
            _ => return Ok(None),
        }
        match self.content(name).await {
            Ok(Some(Found { content: Content::Elsewhere(pointer), .. })) => Ok(Some(pointer)),
            Ok(_) | Err(ArtifactError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn stat_of(&self, name: &str, meta: &ObjectMeta) -> Result<Option<BlobStat>, ArtifactError> {
        let size = if meta.size == POINTER {
            let Some(found) = self.content(name).await? else { return Ok(None) };
            found.content.size()
        } else {
            let damaged = || ArtifactError::Damaged { name: name.to_owned() };
            meta.size.checked_sub(1).ok_or_else(damaged)?
        };
        Ok(Some(BlobStat { size, modified: modified(meta) }))
    }

    pub(super) async fn put(
        &self,
        name: &str,
        payload: PutPayload,
        mode: PutMode,
    ) -> Result<bool, ArtifactError> {
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.store.put_opts(&self.path(name)?, payload, options).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    async fn remove(&self, path: &Path) -> Result<bool, ArtifactError> {
        Ok(there(self.store.delete(path).await)?.is_some())
    }

    pub(super) async fn remove_upload(&self, upload: UploadId) -> Result<bool, ArtifactError> {
        self.remove(&self.upload_path(upload)?).await
    }

    /// The uploads that are older than `before`.
    async fn old_uploads(&self, before: Timestamp) -> Result<HashSet<UploadId>, ArtifactError> {
        let mut listed = self.store.list(Some(&self.path(UPLOADS.trim_end_matches('/'))?));
        let mut old = HashSet::new();
        while let Some(meta) = listed.try_next().await.map_err(failed)? {
            let id = self.name(&meta.location).and_then(|name| name.strip_prefix(UPLOADS));
            old.extend(id.and_then(UploadId::parse).filter(|_| modified(&meta) < before));
        }
        Ok(old)
    }
}

fn modified(meta: &ObjectMeta) -> Timestamp {
    Timestamp::from_millis(u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0))
}

fn inline(bytes: Bytes) -> PutPayload {
    [bytes, INLINE_MARK].into_iter().collect()
}

#[async_trait]
impl Blobs for ObjectBlobs {
    async fn open(&self, name: &str) -> Result<Option<Box<dyn Blob>>, ArtifactError> {
        let Some(found) = self.content(name).await? else { return Ok(None) };
        Ok(Some(Box::new(ObjectBlob { blobs: self.clone(), name: name.to_owned(), found })))
    }

    async fn stat(&self, name: &str) -> Result<Option<BlobStat>, ArtifactError> {
        match there(self.store.head(&self.path(name)?).await)? {
            Some(meta) => self.stat_of(name, &meta).await,
            None => Ok(None),
        }
    }

    async fn upload(&self) -> Result<Box<dyn Upload>, ArtifactError> {
        Ok(Box::new(ObjectUpload::new(self.clone())))
    }

    async fn create(&self, name: &str, bytes: Bytes) -> Result<bool, ArtifactError> {
        self.put(name, inline(bytes), PutMode::Create).await
    }

    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), ArtifactError> {
        self.put(name, inline(bytes), PutMode::Overwrite).await.map(drop)
    }

    async fn delete(&self, name: &str) -> Result<bool, ArtifactError> {
        let path = self.path(name)?;
        // Most object stores remove what is not there, too.
        let Some(meta) = there(self.store.head(&path).await)? else { return Ok(false) };
        let pointer = if meta.size == POINTER { self.pointer(name).await? } else { None };
        let removed = self.remove(&path).await?;
        if let Some(pointer) = pointer {
            self.remove_upload(pointer.upload).await?;
        }
        Ok(removed)
    }

    async fn list(
        &self,
        under: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, ArtifactError> {
        let under = self.path(under.trim_end_matches('/'))?;
        let mut after = after.map(|after| self.path(after)).transpose()?;
        let mut entries = Vec::new();
        loop {
            let wanted = limit - entries.len();
            let in_order = self.options.lists_in_order;
            let metas = page(&*self.store, &under, after.as_ref(), wanted, in_order).await?;
            let is_last = metas.len() < wanted;
            after = metas.last().map(|meta| meta.location.clone());
            let found = metas.into_iter().map(|meta| async move {
                let Some(name) = self.name(&meta.location) else { return Ok(None) };
                let stat = match self.stat_of(name, &meta).await {
                    // That it is damaged is told when it is opened.
                    Err(ArtifactError::Damaged { .. }) => {
                        Some(BlobStat { size: 0, modified: modified(&meta) })
                    }
                    stat => stat?,
                };
                Ok(stat.map(|stat| BlobEntry { name: name.to_owned(), stat }))
            });
            let found: Vec<Option<BlobEntry>> =
                stream::iter(found.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
            // What was removed in the meantime is not there.
            entries.extend(found.into_iter().flatten());
            if is_last || entries.len() >= limit {
                return Ok(entries);
            }
        }
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, ArtifactError> {
        let mut left = self.old_uploads(before).await?;
        if left.is_empty() {
            return Ok(0);
        }
        let root = Path::parse(&self.options.prefix).map_err(ArtifactError::unavailable)?;
        let mut after = None;
        loop {
            let in_order = self.options.lists_in_order;
            let metas = page(&*self.store, &root, after.as_ref(), PAGE, in_order).await?;
            let is_last = metas.len() < PAGE;
            after = metas.last().map(|meta| meta.location.clone());
            let names = metas.iter().filter(|meta| meta.size == POINTER);
            let names = names.filter_map(|meta| self.name(&meta.location));
            let names: Vec<_> = names.filter(|name| !name.starts_with(UPLOADS)).map(str::to_owned).collect();
            let pointers = names.into_iter().map(|name| async move { self.pointer(&name).await });
            let mut pointers = stream::iter(pointers.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
            while let Some(pointer) = pointers.try_next().await? {
                left.retain(|upload| pointer.is_none_or(|pointer| pointer.upload != *upload));
            }
            if is_last {
                break;
            }
        }
        let mut swept = 0;
        for upload in left {
            swept += u64::from(self.remove_upload(upload).await?);
        }
        Ok(swept)
    }

    fn notice(&self) -> Duration {
        self.options.notice
    }

    fn window(&self) -> (u64, usize) {
        (self.options.part as u64, self.options.at_once)
    }
}

#[derive(Debug)]
struct ObjectBlob {
    blobs: ObjectBlobs,
    name: String,
    found: Found,
}

impl ObjectBlob {
    async fn read_upload(&self, upload: UploadId, range: Range<u64>) -> Result<Option<Bytes>, ArtifactError> {
        let path = self.blobs.upload_path(upload)?;
        // As several ranges: then local file systems do not look at the file first.
        let error = match self.blobs.store.get_ranges(&path, &[range]).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => error,
            Ok(mut ranges) => return Ok(ranges.pop()),
        };
        // A range that is not there is told in as many ways as there are object stores.
        match there(self.blobs.store.head(&path).await)? {
            Some(meta) if meta.size == self.found.content.size() => Err(failed(error)),
            Some(_) => Err(ArtifactError::Damaged { name: self.name.clone() }),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl Blob for ObjectBlob {
    fn stat(&self) -> BlobStat {
        BlobStat { size: self.found.content.size(), modified: modified(&self.found.meta) }
    }

    fn is_local(&self) -> bool {
        self.found.is_local
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, ArtifactError> {
        let damaged = || ArtifactError::Damaged { name: self.name.clone() };
        let len = range.end.saturating_sub(range.start);
        let bytes = match &self.found.content {
            Content::Inline(bytes) => {
                let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(at(range.start)..at(range.end))
            }
            Content::Elsewhere(_) if len == 0 => Bytes::new(),
            Content::Elsewhere(pointer) => match self.read_upload(pointer.upload, range.clone()).await? {
                Some(bytes) => bytes,
                // Somebody has put the same bytes again, which are elsewhere now.
                None => match self.blobs.pointer(&self.name).await? {
                    Some(now) if now.size == pointer.size => {
                        self.read_upload(now.upload, range).await?.ok_or_else(damaged)?
                    }
                    _ => return Err(damaged()),
                },
            },
        };
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(damaged()) }
    }
}
