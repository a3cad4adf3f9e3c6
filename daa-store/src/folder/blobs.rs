//! Blobs as files.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{ArtifactError, Blob, BlobEntry, BlobStat, Blobs, Upload};
use daa_core::clock::Timestamp;
use tokio::task::spawn_blocking;

use super::upload::{FolderUpload, Unfinished};
use super::{UNFINISHED, place};
use crate::durable::sync_dir;
use crate::lock::DirLock;

/// [`Blobs`] in a folder.
#[derive(Debug)]
pub(super) struct FolderBlobs {
    folder: Arc<Folder>,
}

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
    uploads: AtomicU64,
    /// Held as long as anything works in the folder, also after the caller has dropped its future.
    _lock: Arc<DirLock>,
}

impl FolderBlobs {
    pub(super) fn new(root: &Path, lock: &Arc<DirLock>) -> Self {
        let folder = Folder { root: root.to_owned(), uploads: AtomicU64::new(0), _lock: lock.clone() };
        Self { folder: Arc::new(folder) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.folder.root
    }

    async fn blocking<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Arc<Folder>, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ArtifactError> {
        let (folder, file) = (self.folder.clone(), place::file(&self.folder.root, name));
        blocking(move || work(&folder, &file)).await
    }
}

/// Runs on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ArtifactError> {
    let done = spawn_blocking(work).await;
    done.map_err(ArtifactError::unavailable)?.map_err(failed)
}

impl Folder {
    /// A new file that has no name yet.
    pub(super) fn unfinished(&self) -> io::Result<Unfinished> {
        loop {
            let number = self.uploads.fetch_add(1, Ordering::Relaxed);
            let path = self.root.join(UNFINISHED).join(format!("{}.{number}", std::process::id()));
            match File::options().read(true).write(true).create_new(true).open(&path) {
                // One of a process that is no more, or in another container.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return Ok(Unfinished::new(created?, path)),
            }
        }
    }
}

#[async_trait]
impl Blobs for FolderBlobs {
    async fn open(&self, name: &str) -> Result<Option<Box<dyn Blob>>, ArtifactError> {
        let opened = self.blocking(name, |_, file| {
            let Some(file) = there(File::open(file))? else { return Ok(None) };
            let stat = stat(&file.metadata()?)?;
            Ok(Some(FolderBlob { file: Arc::new(file), stat }))
        });
        Ok(opened.await?.map(|blob| Box::new(blob) as Box<dyn Blob>))
    }

    async fn stat(&self, name: &str) -> Result<Option<BlobStat>, ArtifactError> {
        self.blocking(name, |_, file| there(fs::metadata(file))?.as_ref().map(stat).transpose()).await
    }

    async fn upload(&self) -> Result<Box<dyn Upload>, ArtifactError> {
        let unfinished = self.blocking("", |folder, _| folder.unfinished()).await?;
        Ok(Box::new(FolderUpload::new(self.folder.clone(), unfinished)))
    }

    async fn create(&self, name: &str, bytes: Bytes) -> Result<bool, ArtifactError> {
        let created = self.blocking(name, move |folder, file| {
            place::create_dirs(file)?;
            let unfinished = folder.unfinished()?;
            unfinished.write(&bytes)?;
            unfinished.sync()?;
            let linked = match fs::hard_link(unfinished.path(), file) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
                linked => linked.map(|()| true)?,
            };
            // Also that of another, who may not have come that far.
            place::sync(&folder.root, file)?;
            Ok(linked)
        });
        created.await
    }

    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), ArtifactError> {
        let replaced = self.blocking(name, move |folder, file| {
            let mut unfinished = folder.unfinished()?;
            unfinished.write(&bytes)?;
            unfinished.publish(&folder.root, file)
        });
        replaced.await
    }

    async fn delete(&self, name: &str) -> Result<bool, ArtifactError> {
        let deleted = self.blocking(name, |_, file| {
            if there(fs::remove_file(file))?.is_none() {
                return Ok(false);
            }
            file.parent().map_or(Ok(()), sync_dir).map(|()| true)
        });
        deleted.await
    }

    async fn list(
        &self,
        under: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, ArtifactError> {
        let (under, after) = (under.to_owned(), after.map(str::to_owned));
        let listed = self.blocking("", move |folder, _| {
            let mut after = after;
            let mut entries = Vec::new();
            loop {
                let found = place::list(&folder.root, &under, after.as_deref(), limit - entries.len())?;
                let Some(last) = found.last() else { return Ok(entries) };
                after = Some(last.name.clone());
                for found in found {
                    // What is removed in the meantime is not there.
                    let metadata = there(fs::metadata(&found.file))?;
                    let stat = metadata.as_ref().map(stat).transpose()?;
                    entries.extend(stat.map(|stat| BlobEntry { name: found.name, stat }));
                }
                if entries.len() == limit {
                    return Ok(entries);
                }
            }
        });
        listed.await
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, ArtifactError> {
        let swept = self.blocking("", move |folder, _| {
            let mut swept = 0;
            for entry in fs::read_dir(folder.root.join(UNFINISHED))? {
                let path = entry?.path();
                let Some(metadata) = there(fs::metadata(&path))? else { continue };
                if stat(&metadata)?.modified < before && there(fs::remove_file(path))?.is_some() {
                    swept += 1;
                }
            }
            Ok(swept)
        });
        swept.await
    }
}

#[derive(Debug)]
struct FolderBlob {
    file: Arc<File>,
    stat: BlobStat,
}

#[async_trait]
impl Blob for FolderBlob {
    fn stat(&self) -> BlobStat {
        self.stat
    }

    fn is_local(&self) -> bool {
        true
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, ArtifactError> {
        let file = self.file.clone();
        blocking(move || read_at(&file, range)).await
    }
}

/// On Unix a read at a place does not move the place of others who read.
#[cfg(unix)]
fn read_at(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    use std::os::unix::fs::FileExt as _;

    let mut bytes = vec![0; length(&range)];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.into())
}

#[cfg(windows)]
fn read_at(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    use std::os::windows::fs::FileExt as _;

    let mut bytes = vec![0; length(&range)];
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.seek_read(rest, range.start + read as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    Ok(bytes.into())
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX)
}

fn stat(metadata: &fs::Metadata) -> io::Result<BlobStat> {
    let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let modified = Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    Ok(BlobStat { size: metadata.len(), modified })
}

/// `None` where there is no such file.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

fn failed(error: io::Error) -> ArtifactError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ArtifactError::Full { source: error.into() }
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ArtifactError::ReadOnly,
        _ => ArtifactError::unavailable(error),
    }
}
