//! Artefacts as files, named by their digest.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{ArtifactError, Artifacts, MAX_ARTIFACT};
use daa_core::digest::Digest;
use tokio::task::spawn_blocking;

use crate::durable::{self, sync_dir};
use crate::lock::DirLock;
use crate::open::OpenError;

/// Where files are written before they get their name.
const UNFINISHED: &str = "unfinished";

/// [`Artifacts`] in a folder: each in a file `ab/cd/abcd…`, named by its digest.
///
/// A put is acknowledged when the file and its name are on disk. Every get checks the content against the digest.
/// What a crash left of a put is removed when the folder is opened again by somebody who has it alone. A put of
/// bytes whose file was damaged writes it anew.
///
/// Files are read and written on tokio's blocking threads, so it needs a tokio runtime.
#[derive(Debug)]
pub struct FolderArtifacts {
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    puts: AtomicU64,
    /// Held as long as anything works in the folder, also after the caller has dropped its future.
    _lock: Arc<DirLock>,
}

impl FolderArtifacts {
    /// Opens the folder `root`, and creates it where there is none; its parent must exist. The folder is locked
    /// as long as it is open.
    ///
    /// # Errors
    /// [`OpenError`]: the folder is in use, read-only, or cannot be read.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, OpenError> {
        let root = root.as_ref();
        create_dir(root).map_err(|error| OpenError::io(root, error))?;
        let lock = DirLock::acquire(root)?;
        Self::prepare(root)?;
        Ok(Self::open_prepared(root, &Arc::new(lock)))
    }

    /// Leaves the folder there, and nothing of unfinished puts in it. Nobody else may have it open.
    pub(crate) fn prepare(root: &Path) -> Result<(), OpenError> {
        prepare(root).map_err(|error| OpenError::io(root, error))
    }

    /// As [`Self::open`], of a folder that is prepared, and guarded by a lock that the caller has taken.
    pub(crate) fn open_prepared(root: &Path, lock: &Arc<DirLock>) -> Self {
        let folder = Folder { root: root.to_owned(), puts: AtomicU64::new(0), _lock: lock.clone() };
        Self { folder: Arc::new(folder) }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder.root
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, ArtifactError> + Send + 'static,
    ) -> Result<T, ArtifactError> {
        let folder = self.folder.clone();
        let done = spawn_blocking(move || work(&folder)).await;
        done.map_err(|error| ArtifactError::Unavailable { source: error.into() })?
    }
}

#[async_trait]
impl Artifacts for FolderArtifacts {
    async fn put(&self, bytes: Bytes) -> Result<Digest, ArtifactError> {
        if bytes.len() > MAX_ARTIFACT {
            return Err(ArtifactError::TooLarge { len: bytes.len() });
        }
        self.blocking(move |folder| folder.put(&bytes)).await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, ArtifactError> {
        let digest = *digest;
        self.blocking(move |folder| folder.get(digest)).await
    }

    async fn remove(&self, digest: &Digest) -> Result<bool, ArtifactError> {
        let digest = *digest;
        self.blocking(move |folder| folder.remove(digest).map_err(failed)).await
    }

    async fn list(&self) -> Result<Vec<Digest>, ArtifactError> {
        self.blocking(|folder| folder.list().map_err(failed)).await
    }
}

impl Folder {
    fn put(&self, bytes: &[u8]) -> Result<Digest, ArtifactError> {
        let digest = Digest::of(bytes);
        let place = Place::new(&self.root, digest);
        if matches!(self.get(digest), Ok(Some(_))) {
            // It may be the work of a put that is not acknowledged yet.
            place.sync().map_err(failed)?;
            return Ok(digest);
        }
        place
            .create_dirs()
            .and_then(|()| self.write(&place.file, digest, bytes))
            .and_then(|()| place.sync())
            .map_err(failed)?;
        Ok(digest)
    }

    fn write(&self, file: &Path, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        loop {
            let number = self.puts.fetch_add(1, Ordering::Relaxed);
            let unfinished = self.root.join(UNFINISHED).join(format!("{digest}.{number}"));
            match durable::write(&unfinished, file, bytes) {
                // Another process that shares the folder puts the same bytes, or was killed while it did.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                written => return written,
            }
        }
    }

    fn get(&self, digest: Digest) -> Result<Option<Bytes>, ArtifactError> {
        let file = match File::open(Place::new(&self.root, digest).file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_ARTIFACT as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if Digest::of(&bytes) == digest {
            Ok(Some(bytes.into()))
        } else {
            Err(ArtifactError::Corrupt { digest })
        }
    }

    fn remove(&self, digest: Digest) -> io::Result<bool> {
        let place = Place::new(&self.root, digest);
        match fs::remove_file(&place.file) {
            Ok(()) => sync_dir(&place.inner).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<Digest>> {
        let mut digests = Vec::new();
        for outer in dirs(&self.root)? {
            for inner in dirs(&outer)? {
                for entry in fs::read_dir(inner)? {
                    let entry = entry?;
                    let digest = entry.file_name().to_str().and_then(|name| name.parse().ok());
                    // Only what a get would find.
                    digests.extend(digest.filter(|&it| Place::new(&self.root, it).file == entry.path()));
                }
            }
        }
        digests.sort_unstable();
        Ok(digests)
    }
}

/// Where an artefact stands.
struct Place<'a> {
    root: &'a Path,
    outer: PathBuf,
    inner: PathBuf,
    file: PathBuf,
}

impl<'a> Place<'a> {
    fn new(root: &'a Path, digest: Digest) -> Self {
        let [first, second, ..] = digest.as_bytes();
        let outer = root.join(format!("{first:02x}"));
        let inner = outer.join(format!("{second:02x}"));
        let file = inner.join(digest.to_string());
        Self { root, outer, inner, file }
    }

    fn create_dirs(&self) -> io::Result<()> {
        fs::create_dir_all(&self.inner)
    }

    /// Makes the way to the file durable.
    fn sync(&self) -> io::Result<()> {
        [self.inner.as_path(), &self.outer, self.root].into_iter().try_for_each(sync_dir)
    }
}

/// Creates a folder durably, if it is not there.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Ok(()) => sync_dir(dir.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Leaves the folder there, with an empty place for unfinished files.
fn prepare(root: &Path) -> io::Result<()> {
    create_dir(root)?;
    let unfinished = root.join(UNFINISHED);
    create_dir(&unfinished)?;
    for leftover in fs::read_dir(&unfinished)? {
        fs::remove_file(leftover?.path())?;
    }
    Ok(())
}

/// The folders of the fan-out in a folder.
fn dirs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().len() == 2 && entry.file_type()?.is_dir() {
            dirs.push(entry.path());
        }
    }
    Ok(dirs)
}

fn failed(error: io::Error) -> ArtifactError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ArtifactError::Full { source: error.into() }
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ArtifactError::ReadOnly,
        _ => ArtifactError::Unavailable { source: error.into() },
    }
}
