//! Uploads in parts.

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{ArtifactError, Upload};
use object_store::{MultipartUpload, ObjectStoreExt as _, PutMode, PutPayload};
use tokio::task::JoinSet;

use super::MAX_PARTS;
use super::blobs::ObjectBlobs;
use super::error::{failed, there};
use super::pointer::{INLINE_MARK, Pointer, UploadId};

/// Held in memory up to one part; a multipart upload from there on.
#[derive(Debug)]
pub(super) struct ObjectUpload {
    blobs: ObjectBlobs,
    pending: VecDeque<Bytes>,
    pending_len: usize,
    size: u64,
    parts: Option<Parts>,
    complete: Option<Complete>,
}

#[derive(Clone, Debug)]
enum Complete {
    Inline(PutPayload),
    Elsewhere(Pointer),
}

impl ObjectUpload {
    pub(super) const fn new(blobs: ObjectBlobs) -> Self {
        let pending = VecDeque::new();
        Self { blobs, pending, pending_len: 0, size: 0, parts: None, complete: None }
    }

    /// The next `len` bytes.
    fn take(&mut self, len: usize) -> PutPayload {
        let mut taken = Vec::new();
        let mut left = len.min(self.pending_len);
        self.pending_len -= left;
        while left > 0
            && let Some(mut bytes) = self.pending.pop_front()
        {
            if bytes.len() > left {
                self.pending.push_front(bytes.split_off(left));
            }
            left -= bytes.len();
            taken.push(bytes);
        }
        taken.into_iter().collect()
    }

    async fn complete(&mut self) -> Result<Complete, ArtifactError> {
        if let Some(complete) = &self.complete {
            return Ok(complete.clone());
        }
        let rest = self.take(self.pending_len);
        let complete = match &mut self.parts {
            None => Complete::Inline(rest.into_iter().chain([INLINE_MARK]).collect()),
            Some(parts) => {
                if rest.content_length() > 0 {
                    parts.put(rest).await?;
                }
                parts.complete().await?;
                Complete::Elsewhere(Pointer { upload: parts.id, size: self.size })
            }
        };
        self.complete = Some(complete.clone());
        Ok(complete)
    }
}

#[async_trait]
impl Upload for ObjectUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError> {
        self.size += bytes.len() as u64;
        self.pending_len += bytes.len();
        self.pending.push_back(bytes);
        let part = self.blobs.options.part;
        // What is exactly one part may be all.
        while self.pending_len > part {
            let payload = self.take(part);
            let parts = match &mut self.parts {
                Some(parts) => parts,
                None => self.parts.insert(Parts::begin(&self.blobs).await?),
            };
            parts.put(payload).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, name: &str) -> Result<(), ArtifactError> {
        let is_first = self.complete.is_none();
        match self.complete().await? {
            Complete::Inline(payload) => {
                // Where it was larger before, with parts of another size, a collection removes what it pointed to.
                self.blobs.put(name, payload, PutMode::Overwrite).await.map(drop)
            }
            Complete::Elsewhere(pointer) => {
                if !is_first {
                    let path = self.blobs.upload_path(pointer.upload)?;
                    let gone = || ArtifactError::unavailable("a collection removed it while it was put");
                    there(self.blobs.store.head(&path).await)?.ok_or_else(gone)?;
                }
                let before = self.blobs.pointer(name).await?.filter(|before| *before != pointer);
                self.blobs.put(name, pointer.to_bytes().into(), PutMode::Overwrite).await?;
                if let Some(parts) = &mut self.parts {
                    parts.is_named = true;
                }
                remove(&self.blobs, before).await
            }
        }
    }
}

/// Removes what an object pointed to before; what is missed here a collection finds.
async fn remove(blobs: &ObjectBlobs, before: Option<Pointer>) -> Result<(), ArtifactError> {
    if let Some(before) = before {
        blobs.remove_upload(before.upload).await?;
    }
    Ok(())
}

/// A multipart upload; given up when it is dropped before it has a name.
#[derive(Debug)]
struct Parts {
    blobs: ObjectBlobs,
    id: UploadId,
    upload: Option<Box<dyn MultipartUpload>>,
    number: u64,
    under_way: JoinSet<object_store::Result<()>>,
    is_named: bool,
}

impl Parts {
    async fn begin(blobs: &ObjectBlobs) -> Result<Self, ArtifactError> {
        let id = UploadId::random();
        let upload = blobs.store.put_multipart(&blobs.upload_path(id)?).await.map_err(failed)?;
        let (blobs, under_way) = (blobs.clone(), JoinSet::new());
        Ok(Self { blobs, id, upload: Some(upload), number: 0, under_way, is_named: false })
    }

    async fn put(&mut self, payload: PutPayload) -> Result<(), ArtifactError> {
        let max = self.blobs.options.part as u64 * MAX_PARTS;
        if self.number == MAX_PARTS {
            return Err(ArtifactError::TooLarge { len: max + payload.content_length() as u64, max });
        }
        while self.under_way.len() >= self.blobs.options.at_once {
            self.join().await?;
        }
        if let Some(upload) = &mut self.upload {
            self.number += 1;
            self.under_way.spawn(upload.put_part(payload));
        }
        Ok(())
    }

    async fn join(&mut self) -> Result<(), ArtifactError> {
        match self.under_way.join_next().await {
            Some(done) => done.map_err(ArtifactError::unavailable)?.map_err(failed),
            None => Ok(()),
        }
    }

    async fn complete(&mut self) -> Result<(), ArtifactError> {
        while !self.under_way.is_empty() {
            self.join().await?;
        }
        if let Some(upload) = &mut self.upload {
            upload.complete().await.map_err(failed)?;
            self.upload = None;
        }
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_named {
            return;
        }
        let (blobs, id, upload) = (self.blobs.clone(), self.id, self.upload.take());
        let mut under_way = std::mem::take(&mut self.under_way);
        runtime.spawn(async move {
            // A part that comes after it was given up would stay.
            under_way.shutdown().await;
            let removed = match upload {
                Some(mut upload) => upload.abort().await.map_err(failed),
                None => blobs.remove_upload(id).await.map(drop),
            };
            if let Err(error) = removed {
                tracing::debug!(%error, upload = %id, "an unfinished upload is left");
            }
        });
    }
}
