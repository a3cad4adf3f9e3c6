//! Files that are replaced whole, by several processes on several machines if need be.
//!
//! What is new is written beside its place, brought to the disk, and renamed. The name beside is random, and never one that
//! is there: two processes may have the same number, as in containers, and the same folder.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::{Builder, NamedTempFile};

/// What the names of unfinished files begin with, wherever they are.
const UNFINISHED: &str = ".unfinished-";
/// An unfinished file that is older was left by a crash: nothing of a log takes so long to be written.
const LEFT: Duration = Duration::from_secs(3600);
/// How long another holder of a lock is waited for. He holds it for one small write.
const PATIENCE: Duration = Duration::from_secs(10);

/// Puts `bytes` in place of the file at `place`, by way of a file in `beside`, which is on the same volume. The name is
/// durable when the folder is.
pub(super) fn replace(place: &Path, beside: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = unfinished(beside)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    // Dropped where this fails, and removed with that.
    file.persist(place).map_err(|error| error.error)?;
    Ok(())
}

/// As [`replace`], for a file that stands alone: its name is durable too.
pub(super) fn replace_durably(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = folder_of(place);
    replace(place, dir, bytes)?;
    File::open(dir)?.sync_all()
}

fn unfinished(dir: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(UNFINISHED).rand_bytes(16);
    // As any other new file: what is served must be readable for whoever serves it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(dir)
}

/// Removes what crashes left in a folder. That it cannot be is no failure: nobody reads it.
pub(super) fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let named = entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
        let age = entry.metadata().and_then(|it| it.modified()).ok().and_then(|at| at.elapsed().ok());
        if named && age.is_some_and(|age| age > LEFT) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Holds the lock beside a file, `NAME.lock`, until it is dropped: one process at a time reads, decides and replaces.
///
/// Blocks its thread, for ten seconds at the most.
pub(super) fn lock(place: &Path) -> io::Result<File> {
    let file = File::create(place.with_added_extension("lock"))?;
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(Duration::from_millis(5)),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_a_crash_left_is_swept_and_what_is_being_written_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join(".unfinished-old");
        let (fresh, other) = (dir.path().join(".unfinished-new"), dir.path().join("checkpoint"));
        for path in [&old, &fresh, &other] {
            fs::write(path, "x").unwrap();
        }
        let before = SystemTime::now() - LEFT - Duration::from_secs(60);
        for path in [&old, &other] {
            File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
        }
        sweep(dir.path());
        assert_eq!([old.exists(), fresh.exists(), other.exists()], [false, true, true]);
    }

    #[test]
    fn a_replaced_file_is_whole_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("kept");
        for text in ["one", "another"] {
            replace_durably(&place, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&place).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let none = dir.path().join("none");
        assert!(replace(&place, &none, b"third").is_err());
        assert_eq!(fs::read_to_string(&place).unwrap(), "another");
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_can_be_read_by_whoever_may_read_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (place, plain) = (dir.path().join("replaced"), dir.path().join("plain"));
        replace_durably(&place, b"x").unwrap();
        fs::write(&plain, "x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&place), mode(&plain));
    }
}
