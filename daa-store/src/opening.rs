//! Opening a directory that others may have open, or be about to open.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::lock::DirLock;
use crate::open::OpenError;
use crate::sqlite::{Sharing, SqliteOptions};

/// Between two looks whether another opening has ended.
const PAUSE: Duration = Duration::from_millis(1);

/// A directory that is being opened. Stores that share it come through here one after the other.
///
/// Whoever is alone sets up what is missing, and only then lets others in. So where somebody else is in, all is
/// there and was examined; and nobody opens the database file by itself, past the engine, while a connection is on
/// it: closing such a file handle would free the engine's locks (they belong to the process and the file).
#[derive(Debug)]
pub(crate) struct Opening {
    lock: DirLock,
    /// Held while a shared directory is being opened.
    _turn: Option<File>,
    sharing: Sharing,
    alone: bool,
}

impl Opening {
    /// Takes the directory `dir`, which must exist, or joins those who share it.
    pub(crate) fn begin(dir: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let sharing = options.sharing;
        let (lock, turn, alone) = match sharing {
            Sharing::Exclusive => (DirLock::acquire(dir)?, None, true),
            Sharing::Processes => {
                let turn = take_turn(dir, options.patience)?;
                let (lock, alone) = DirLock::acquire_or_join(dir)?;
                (lock, Some(turn), alone)
            }
        };
        Ok(Self { lock, _turn: turn, sharing, alone })
    }

    /// Whether nobody else has the directory open; then nobody comes in before [`Self::finish`].
    pub(crate) const fn is_alone(&self) -> bool {
        self.alone
    }

    /// All is set up: lets others in where the directory is shared.
    pub(crate) fn finish(self) -> Result<DirLock, OpenError> {
        match self.sharing {
            Sharing::Processes if self.alone => self.lock.share(),
            Sharing::Processes | Sharing::Exclusive => Ok(self.lock),
        }
    }
}

/// Waits for openings that are under way. The operating system ends that of a process that ends.
fn take_turn(dir: &Path, patience: Duration) -> Result<File, OpenError> {
    let failed = |error| OpenError::io(dir, error);
    let file = DirLock::turn_file(dir).map_err(failed)?;
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: dir.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}
