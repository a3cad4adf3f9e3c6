//! A log over the blobs that artefacts are kept in.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::Blobs;

use super::{LogFile, StorageError, TileStore};

/// How many names are listed at once.
const LISTED: usize = 256;

/// Files of a log as [`Blobs`], under a prefix: in whatever artefacts can be kept in.
#[derive(Clone, Debug)]
pub struct BlobTiles {
    blobs: Arc<dyn Blobs>,
    prefix: String,
}

impl BlobTiles {
    /// The blobs whose names begin with `prefix`, such as `audit/treasury`, and a slash.
    #[must_use]
    pub fn new(blobs: Arc<dyn Blobs>, prefix: &str) -> Self {
        Self { blobs, prefix: prefix.trim_end_matches('/').to_owned() }
    }

    fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.prefix)
    }
}

#[async_trait]
impl TileStore for BlobTiles {
    async fn read(&self, path: &str) -> Result<Option<Bytes>, StorageError> {
        let failed = |error| StorageError::new(path, error);
        let Some(blob) = self.blobs.open(&self.name(path)).await.map_err(failed)? else { return Ok(None) };
        blob.read(0..blob.stat().size).await.map(Some).map_err(failed)
    }

    async fn write(&self, files: Vec<LogFile>) -> Result<(), StorageError> {
        for file in files {
            let written = self.blobs.replace(&self.name(&file.path), file.bytes).await;
            written.map_err(|error| StorageError::new(file.path, error))?;
        }
        Ok(())
    }

    async fn remove(&self, under: &str) -> Result<(), StorageError> {
        let failed = |error| StorageError::new(under, error);
        let name = self.name(under);
        loop {
            let found = self.blobs.list(&name, None, LISTED).await.map_err(failed)?;
            for entry in &found {
                self.blobs.delete(&entry.name).await.map_err(failed)?;
            }
            if found.len() < LISTED {
                return Ok(());
            }
        }
    }
}
