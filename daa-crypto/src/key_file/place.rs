//! Key files on disk: all or nothing, and for the owner alone.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::{KeyFile, KeyFileError};
use crate::secret::random;

impl KeyFile {
    /// Writes a new file, which only its owner may read (mode 600 on Unix). It is durable when this returns, and after a
    /// crash it is there whole or not at all; a temporary file `.NAME.HEX.new` may be left beside it.
    ///
    /// # Errors
    /// [`KeyFileError::Exists`] when there is a file of this name: a key is not overwritten by mistake.
    /// [`KeyFileError::Io`]: there is no file. [`KeyFileError::NotDurable`]: there is, and this call did it.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyFileError> {
        self.write_new_with(path, Folder::sync)
    }

    fn write_new_with(
        &self,
        path: &Path,
        sync: impl FnOnce(&Folder) -> io::Result<()>,
    ) -> Result<(), KeyFileError> {
        self.put(path, sync, |temporary| {
            // Unlike renaming, linking fails where there is a file.
            let linked = fs::hard_link(temporary, path);
            // Best effort: what is left is what a crash leaves.
            drop(fs::remove_file(temporary));
            linked.map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.into() },
                _ => KeyFileError::Io { path: path.into(), source },
            })
        })
    }

    /// Writes a file in the place of an older one, such as with another passphrase: the old one or the new one is there
    /// at any time.
    ///
    /// # Errors
    /// [`KeyFileError::Io`]: the old file is as it was. [`KeyFileError::NotDurable`]: the new one is in its place.
    pub fn replace(&self, path: &Path) -> Result<(), KeyFileError> {
        self.replace_with(path, Folder::sync)
    }

    fn replace_with(
        &self,
        path: &Path,
        sync: impl FnOnce(&Folder) -> io::Result<()>,
    ) -> Result<(), KeyFileError> {
        self.put(path, sync, |temporary| {
            fs::rename(temporary, path).map_err(|source| {
                // Best effort: the first error is the one to tell.
                drop(fs::remove_file(temporary));
                KeyFileError::Io { path: path.into(), source }
            })
        })
    }

    /// Writes a file beside the place, has it put there, and makes that durable.
    fn put(
        &self,
        path: &Path,
        sync: impl FnOnce(&Folder) -> io::Result<()>,
        place: impl FnOnce(&Path) -> Result<(), KeyFileError>,
    ) -> Result<(), KeyFileError> {
        // Before anything is changed: a folder that cannot be opened cannot be synchronised.
        let folder = Folder::of(path).map_err(at(path))?;
        place(&self.write_temporary(path)?)?;
        sync(&folder).map_err(|source| KeyFileError::NotDurable { path: path.into(), source })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`KeyFileError::Permissions`] on Unix when others than the owner may read, write or run it;
    /// [`KeyFileError::Io`], [`KeyFileError::TooLong`], [`KeyFileError::Decode`].
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let file = File::open(path).map_err(at(path))?;
        check_permissions(&file, path)?;
        let mut bytes = Vec::new();
        file.take(Self::MAX_LEN as u64 + 1).read_to_end(&mut bytes).map_err(at(path))?;
        if bytes.len() > Self::MAX_LEN {
            return Err(KeyFileError::TooLong { path: path.into() });
        }
        Ok(Self::decode(&bytes)?)
    }

    /// Writes a file beside the place where it shall be, durably.
    fn write_temporary(&self, path: &Path) -> Result<PathBuf, KeyFileError> {
        let suffix = random::<8>()?;
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{:016x}.new", u64::from_be_bytes(*suffix)));
        let temporary = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&temporary).and_then(|mut file| {
            file.write_all(&self.encode())?;
            file.sync_all()
        });
        match written {
            Ok(()) => Ok(temporary),
            Err(source) => {
                // Best effort: the first error is the one to tell.
                drop(fs::remove_file(&temporary));
                Err(KeyFileError::Io { path: temporary, source })
            }
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    move |source| KeyFileError::Io { path: path.into(), source }
}

/// The folder of a file, whose names are to be made durable.
#[cfg(unix)]
struct Folder(File);

#[cfg(unix)]
impl Folder {
    fn of(path: &Path) -> io::Result<Self> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new("."))).map(Self)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Elsewhere a folder cannot be opened, and names are durable with their files.
#[cfg(not(unix))]
struct Folder;

#[cfg(not(unix))]
impl Folder {
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    fn of(_: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
fn check_permissions(file: &File, path: &Path) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata().map_err(at(path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Permissions { path: path.into(), mode });
    }
    Ok(())
}

/// Elsewhere access lists decide, which are not read here.
#[cfg(not(unix))]
fn check_permissions(_: &File, _: &Path) -> Result<(), KeyFileError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Argon2Params, CryptoSuite, Passphrase, SignatureAlgorithm};

    fn locked() -> KeyFile {
        let key = CryptoSuite::new().generate_signing_key(SignatureAlgorithm::MlDsa65).expect("a key");
        KeyFile::lock(&key, &Passphrase::new("right"), Argon2Params::weakest()).expect("locked")
    }

    fn no_sync(_: &Folder) -> io::Result<()> {
        Err(io::Error::other("the disk is gone"))
    }

    /// What an error says of the file is so: it is in its place, and nothing else is in the folder.
    #[test]
    fn a_file_that_may_not_last_is_there_and_said_to_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("node.key");
        let (one, other) = (locked(), locked());
        let found = one.write_new_with(&path, no_sync);
        assert!(matches!(found, Err(KeyFileError::NotDurable { path: at, .. }) if at == path));
        assert_eq!(KeyFile::read(&path).expect("read"), one);
        let found = other.replace_with(&path, no_sync);
        assert!(matches!(found, Err(KeyFileError::NotDurable { path: at, .. }) if at == path));
        assert_eq!(KeyFile::read(&path).expect("read"), other);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    /// Where the file cannot be put, it is said that there is none, and nothing is left.
    #[test]
    fn a_place_that_cannot_be_taken_is_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("node.key");
        fs::create_dir(&path).expect("a folder in its place");
        assert!(matches!(locked().replace(&path), Err(KeyFileError::Io { .. })));
        assert!(matches!(locked().write_new(&path), Err(KeyFileError::Exists { .. })));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
