//! One process at a time.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::durable::remove_if_there;
use crate::open::OpenError;

/// The name of the lock file in the directory that it guards.
pub(crate) const LOCK_FILE: &str = "lock";
const PROBE_FILE: &str = "lock.probe";

/// Holds a directory for this process. The operating system frees it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    /// Locked as long as it is open.
    _file: File,
}

impl DirLock {
    /// Takes a directory, which must exist.
    pub(crate) fn acquire(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(LOCK_FILE);
        // Not truncated: whoever holds the lock may have the file open.
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| OpenError::io(dir, error))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse { path: dir.to_owned() },
            TryLockError::Error(error) => OpenError::io(dir, error),
        })?;
        // An existing lock file can be opened for writing also where no file can be created.
        let probe = dir.join(PROBE_FILE);
        fs::write(&probe, b"")
            .and_then(|()| remove_if_there(&probe))
            .map_err(|error| OpenError::io(dir, error))?;
        Ok(Self { _file: file })
    }

    /// Whether a file of this name is one that taking the lock leaves behind.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "only the data directory asks"))]
    pub(crate) fn leaves(name: &OsStr) -> bool {
        name == LOCK_FILE || name == PROBE_FILE
    }
}
