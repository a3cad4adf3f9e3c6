//! Files on their way to a name.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{ArtifactError, Upload};

use super::blobs::{Folder, blocking};
use super::place;

/// A file without a name; removed when it is dropped without one.
#[derive(Debug)]
pub(super) struct Unfinished {
    file: File,
    path: PathBuf,
    is_named: bool,
}

impl Unfinished {
    pub(super) const fn new(file: File, path: PathBuf) -> Self {
        Self { file, path, is_named: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Gives it its name, durably.
    pub(super) fn publish(&mut self, root: &Path, name: &Path) -> io::Result<()> {
        self.file.set_modified(SystemTime::now())?;
        self.sync()?;
        place::create_dirs(name)?;
        fs::rename(&self.path, name)?;
        self.is_named = true;
        place::sync(root, name)
    }

    /// One with the same content: this one has a name, and may have lost it again.
    fn again(&self, folder: &Folder) -> io::Result<Self> {
        let again = folder.unfinished()?;
        (&self.file).seek(SeekFrom::Start(0))?;
        io::copy(&mut &self.file, &mut &again.file)?;
        Ok(again)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_named
            && let Err(error) = fs::remove_file(&self.path)
        {
            // It is removed when the folder is opened again.
            tracing::debug!(%error, path = %self.path.display(), "an unfinished artefact is left");
        }
    }
}

#[derive(Debug)]
pub(super) struct FolderUpload {
    folder: Arc<Folder>,
    /// `None` while a blocking thread has it, and for good when the caller gave up on that.
    unfinished: Option<Unfinished>,
}

impl FolderUpload {
    pub(super) const fn new(folder: Arc<Folder>, unfinished: Unfinished) -> Self {
        Self { folder, unfinished: Some(unfinished) }
    }

    async fn with(
        &mut self,
        work: impl FnOnce(&Folder, &mut Unfinished) -> io::Result<()> + Send + 'static,
    ) -> Result<(), ArtifactError> {
        let gone = || ArtifactError::unavailable("an earlier write was given up");
        let mut unfinished = self.unfinished.take().ok_or_else(gone)?;
        let folder = self.folder.clone();
        let unfinished = blocking(move || work(&folder, &mut unfinished).map(|()| unfinished)).await?;
        self.unfinished = Some(unfinished);
        Ok(())
    }
}

#[async_trait]
impl Upload for FolderUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError> {
        self.with(move |_, unfinished| unfinished.write(&bytes)).await
    }

    async fn commit(&mut self, name: &str) -> Result<(), ArtifactError> {
        let name = place::file(&self.folder.root, name);
        self.with(move |folder, unfinished| {
            if unfinished.is_named {
                *unfinished = unfinished.again(folder)?;
            }
            unfinished.publish(&folder.root, &name)
        })
        .await
    }
}
