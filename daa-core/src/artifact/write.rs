//! Writing an artefact part by part.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::blobs::Upload;
use super::outline::Outlining;
use super::stored::{StoredArtifacts, data, outline};
use super::{ArtifactError, ArtifactWriter};
use crate::digest::Digest;

/// Smaller parts are put together before the engine gets them, larger ones are divided.
const LEAST: usize = 256 << 10;
const MOST: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct BlobWriter {
    store: StoredArtifacts,
    upload: Box<dyn Upload>,
    outlining: Outlining,
    /// The only small part so far, which need not be copied if no other follows.
    alone: Bytes,
    pending: BytesMut,
    /// A write failed, or was given up.
    broken: bool,
}

impl BlobWriter {
    pub(super) async fn begin(store: StoredArtifacts) -> Result<Self, ArtifactError> {
        let upload = store.blobs.upload().await?;
        let (outlining, alone, pending) = (Outlining::new(), Bytes::new(), BytesMut::new());
        Ok(Self { store, upload, outlining, alone, pending, broken: false })
    }

    async fn append(&mut self, mut bytes: Bytes) -> Result<(), ArtifactError> {
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(MOST));
            self.outlining.update(&part);
            if self.pending.is_empty() && self.alone.is_empty() {
                if part.len() >= LEAST {
                    self.upload.write(part).await?;
                } else {
                    self.alone = part;
                }
                continue;
            }
            self.pending.extend_from_slice(&std::mem::take(&mut self.alone));
            self.pending.extend_from_slice(&part);
            if self.pending.len() >= LEAST {
                self.upload.write(self.pending.split().freeze()).await?;
            }
        }
        Ok(())
    }

    /// What the engine does not have yet.
    fn rest(&mut self) -> Bytes {
        if self.pending.is_empty() { std::mem::take(&mut self.alone) } else { self.pending.split().freeze() }
    }
}

#[async_trait]
impl ArtifactWriter for BlobWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(ArtifactError::unavailable(Broken));
        }
        let len = self.outlining.size().saturating_add(bytes.len() as u64);
        if len > self.store.max {
            return Err(ArtifactError::TooLarge { len, max: self.store.max });
        }
        self.append(bytes).await?;
        self.broken = false;
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Digest, ArtifactError> {
        if self.broken {
            return Err(ArtifactError::unavailable(Broken));
        }
        let rest = self.rest();
        if !rest.is_empty() {
            self.upload.write(rest).await?;
        }
        let (digest, parts) = self.outlining.finish();
        loop {
            let began = self.store.begin();
            // Before the data: who finds those without it reads them all to make it anew.
            if let Some(parts) = &parts {
                self.store.blobs.replace(&outline(&digest), parts.to_bytes()).await?;
            }
            self.upload.commit(&data(&digest)).await?;
            if self.store.stays(&digest, began).await? {
                return Ok(digest);
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("an earlier write of the artefact did not succeed")]
struct Broken;
