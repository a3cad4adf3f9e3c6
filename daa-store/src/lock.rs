//! Whose a directory is: of one store, or of those who share it.

#[cfg(feature = "sqlite")]
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::durable::remove_if_there;
use crate::open::OpenError;

/// The name of the lock file in the directory that it guards.
pub(crate) const LOCK_FILE: &str = "lock";
const PROBE_FILE: &str = "lock.probe";
/// Locked by a store that shares the directory, while it opens.
#[cfg(feature = "sqlite")]
const TURN_FILE: &str = "lock.opening";

/// Holds a directory. The operating system frees it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    /// Locked as long as it is open.
    file: File,
    dir: PathBuf,
}

impl DirLock {
    /// Takes a directory, which must exist, for one store.
    pub(crate) fn acquire(dir: &Path) -> Result<Self, OpenError> {
        let lock = Self::of(dir)?;
        lock.file.try_lock().map_err(|error| lock.refusal(error))?;
        lock.probe()?;
        Ok(lock)
    }

    /// Takes a directory for one store, or joins those who share it; and whether it is alone. To be called in
    /// turn: see [`Self::turn_file`].
    #[cfg(feature = "sqlite")]
    pub(crate) fn acquire_or_join(dir: &Path) -> Result<(Self, bool), OpenError> {
        let lock = Self::of(dir)?;
        let alone = match lock.file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                lock.file.try_lock_shared().map_err(|error| lock.refusal(error))?;
                false
            }
            Err(error) => return Err(lock.refusal(error)),
        };
        lock.probe()?;
        Ok((lock, alone))
    }

    /// Lets those in who share the directory too. It is free for a moment, and somebody who wants it for one store
    /// may be faster.
    #[cfg(feature = "sqlite")]
    pub(crate) fn share(self) -> Result<Self, OpenError> {
        self.file.unlock().map_err(|error| OpenError::io(&self.dir, error))?;
        self.file.try_lock_shared().map_err(|error| self.refusal(error))?;
        Ok(self)
    }

    /// The file that those who share a directory lock while they open it.
    #[cfg(feature = "sqlite")]
    pub(crate) fn turn_file(dir: &Path) -> io::Result<File> {
        open(&dir.join(TURN_FILE))
    }

    /// Whether a file of this name is one that taking the lock leaves behind.
    #[cfg(feature = "sqlite")]
    pub(crate) fn leaves(name: &OsStr) -> bool {
        [LOCK_FILE, PROBE_FILE, TURN_FILE].iter().any(|it| name == *it)
    }

    fn of(dir: &Path) -> Result<Self, OpenError> {
        let file = open(&dir.join(LOCK_FILE)).map_err(|error| OpenError::io(dir, error))?;
        Ok(Self { file, dir: dir.to_owned() })
    }

    fn refusal(&self, error: TryLockError) -> OpenError {
        match error {
            TryLockError::WouldBlock => OpenError::InUse { path: self.dir.clone() },
            TryLockError::Error(error) => OpenError::io(&self.dir, error),
        }
    }

    /// An existing lock file can be opened for writing also where no file can be created.
    fn probe(&self) -> Result<(), OpenError> {
        let probe = self.dir.join(PROBE_FILE);
        fs::write(&probe, b"")
            .and_then(|()| remove_if_there(&probe))
            .map_err(|error| OpenError::io(&self.dir, error))
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing the file frees it only when no child process, on its way from fork to exec, has it open too.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, dir = %self.dir.display(), "the lock of a store is freed by closing it");
        }
    }
}

/// Not truncated: whoever holds the lock may have the file open.
fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}
