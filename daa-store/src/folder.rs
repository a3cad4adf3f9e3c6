//! Artefacts as files, named by their digest.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use daa_core::artifact::{ArtifactCipher, OverBlobs, StoredArtifacts};
use daa_core::clock::SystemClock;

use crate::durable::sync_dir;
use crate::lock::DirLock;
use crate::open::OpenError;

mod blobs;
mod place;
mod upload;

use blobs::FolderBlobs;

/// Where files are written before they get their name.
const UNFINISHED: &str = "unfinished";

/// [`Artifacts`](daa_core::artifact::Artifacts) and [`NamedArtifacts`](daa_core::artifact::NamedArtifacts) in a folder:
/// each artefact in a file `ab/cd/abcd…`, named by its digest, with the bytes as they are.
///
/// A put is acknowledged when the file and its name are on disk. What is read is checked against the digest.
/// What a crash left of a put is removed when the folder is opened again by somebody who has it alone. A put of
/// bytes whose file was damaged writes it anew.
///
/// Files are read and written on tokio's blocking threads, so it needs a tokio runtime.
#[derive(Debug)]
pub struct FolderArtifacts {
    folder: Arc<FolderBlobs>,
    stored: StoredArtifacts,
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
        let folder = Arc::new(FolderBlobs::new(root, lock));
        let stored = StoredArtifacts::new(folder.clone(), Arc::new(SystemClock::new()));
        Self { folder, stored }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.root()
    }

    /// The artefacts in this folder that are sealed with a cipher; they are in files of their own, under `sealed`.
    /// See [`StoredArtifacts::sealed`].
    #[must_use]
    pub fn sealed(&self, cipher: Arc<dyn ArtifactCipher>) -> Self {
        Self { folder: self.folder.clone(), stored: self.stored.sealed(cipher) }
    }

    /// The same artefacts, of which those that are put as a stream have at most so many bytes. 1 TiB, if it is not
    /// said.
    #[must_use]
    pub fn with_max_size(self, bytes: u64) -> Self {
        Self { stored: self.stored.with_max_size(bytes), ..self }
    }
}

impl OverBlobs for FolderArtifacts {
    fn stored(&self) -> &StoredArtifacts {
        &self.stored
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
