//! A log in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{LogFile, StorageError, TileStore};

/// Files of a log in memory: for tests. They survive nothing.
#[derive(Debug, Default)]
pub struct MemoryTiles(Mutex<BTreeMap<String, Bytes>>);

impl MemoryTiles {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All files, by path.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Bytes> {
        self.lock().clone()
    }

    /// These files and no others.
    pub fn restore(&self, files: BTreeMap<String, Bytes>) {
        *self.lock() = files;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TileStore for MemoryTiles {
    async fn read(&self, path: &str) -> Result<Option<Bytes>, StorageError> {
        Ok(self.lock().get(path).cloned())
    }

    async fn write(&self, files: Vec<LogFile>) -> Result<(), StorageError> {
        self.lock().extend(files.into_iter().map(|file| (file.path, file.bytes)));
        Ok(())
    }

    async fn remove(&self, under: &str) -> Result<(), StorageError> {
        self.lock().retain(|path, _| !path.starts_with(under));
        Ok(())
    }
}
