//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes the names in a directory durable. Without it a renamed file may be gone after a power cut.
///
/// Windows has no such call, and does not need it: there metadata is journaled in order.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Moves a finished, synced file to its final name, durably.
pub(crate) fn publish(finished: &Path, name: &Path) -> io::Result<()> {
    fs::rename(finished, name)?;
    sync_dir(name.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Writes `bytes` to `name` by way of `temporary`, which must be in the same directory. On failure neither is
/// there, but for a `temporary` that was there before: it may be somebody else's work, and is an error.
pub(crate) fn write(temporary: &Path, name: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = File::create_new(temporary)?;
    let written = write_synced(file, bytes).and_then(|()| publish(temporary, name));
    if written.is_err() {
        // The file is not published; what cannot be removed now is removed when the store is opened again.
        let _ = fs::remove_file(temporary);
    }
    written
}

fn write_synced(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes a file that may not be there.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
