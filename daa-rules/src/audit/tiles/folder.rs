//! A log in a folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::thread;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::{LogFile, StorageError, TileStore};
use crate::audit::replace::{replace, sweep};

/// A larger file is none of a log: 256 records of 64 KiB.
const MAX_FILE: u64 = 17 << 20;
/// How many files are brought to the disk at a time.
const WRITERS: usize = 16;
/// Where files are written before they are renamed: no path of a log begins with a dot.
const UNFINISHED: &str = ".unfinished";

/// Files of a log in a folder, which any web server can serve. Each is written in the folder `.unfinished`, under a random
/// name, brought to the disk, and renamed; what a crash leaves there is removed an hour later, by whoever writes.
#[derive(Clone, Debug)]
pub struct FolderTiles {
    root: Arc<PathBuf>,
    /// What crashes left is removed by the first who writes.
    swept: Arc<Once>,
}

impl FolderTiles {
    /// The folder at `root`, which is made when something is written.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: Arc::new(root.into()), swept: Arc::new(Once::new()) }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let folder = self.clone();
        let path = self.root.display().to_string();
        spawn_blocking(move || work(&folder)).await.map_err(|error| StorageError::new(path, error))?
    }

    fn read_file(&self, path: &str) -> io::Result<Option<Bytes>> {
        let file = match File::open(self.root.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if file.metadata()?.len() > MAX_FILE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is larger than any of a log"));
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE), &mut bytes)?;
        Ok(Some(bytes.into()))
    }

    /// Writes files, several at a time: what each waits for is mostly the disk, which brings in many as fast as one.
    fn write_files(&self, files: &[LogFile], made: &mut BTreeSet<PathBuf>) -> Result<(), StorageError> {
        let named = |file: &LogFile, error| StorageError::new(file.path.clone(), error);
        for file in files {
            let place = self.root.join(&file.path);
            let dir = place.parent().unwrap_or(&self.root);
            if !made.contains(dir) {
                self.make(dir, made).map_err(|error| named(file, error))?;
            }
        }
        let Some(first) = files.first() else { return Ok(()) };
        let unfinished = self.unfinished().map_err(|error| named(first, error))?;
        let write = |file: &LogFile| {
            replace(&self.root.join(&file.path), &unfinished, &file.bytes).map_err(|error| named(file, error))
        };
        if files.len() == 1 {
            return write(first);
        }
        thread::scope(|scope| {
            let mut written = Ok(());
            let mut writers = Vec::new();
            for share in files.chunks(files.len().div_ceil(WRITERS)) {
                let task = move || share.iter().try_for_each(write);
                // Where there is no further thread, it is written here.
                match thread::Builder::new().spawn_scoped(scope, task) {
                    Ok(writer) => writers.push(writer),
                    Err(_) => written = written.and(task()),
                }
            }
            for writer in writers {
                let panicked = |_| Err(StorageError::new(UNFINISHED, io::Error::other("a writer panicked")));
                written = written.and(writer.join().unwrap_or_else(panicked));
            }
            written
        })
    }

    /// The folder of unfinished files.
    fn unfinished(&self) -> io::Result<PathBuf> {
        let dir = self.root.join(UNFINISHED);
        fs::create_dir_all(&dir)?;
        self.swept.call_once(|| sweep(&dir));
        Ok(dir)
    }

    /// Makes a folder, and takes note of all whose entries have to be brought to the disk.
    fn make(&self, dir: &Path, made: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let within = dir.ancestors().take_while(|above| above.starts_with(&*self.root));
        made.extend(within.map(Path::to_owned));
        made.extend(self.root.parent().filter(|above| !above.as_os_str().is_empty()).map(Path::to_owned));
        Ok(())
    }
}

#[async_trait]
impl TileStore for FolderTiles {
    async fn read(&self, path: &str) -> Result<Option<Bytes>, StorageError> {
        let path = path.to_owned();
        self.blocking(move |folder| folder.read_file(&path).map_err(|error| StorageError::new(path, error)))
            .await
    }

    async fn write(&self, files: Vec<LogFile>) -> Result<(), StorageError> {
        self.blocking(move |folder| {
            let mut made = BTreeSet::new();
            folder.write_files(&files, &mut made)?;
            // The names are durable when their folders are.
            for dir in &made {
                File::open(dir)
                    .and_then(|dir| dir.sync_all())
                    .map_err(|error| StorageError::new(dir.display().to_string(), error))?;
            }
            Ok(())
        })
        .await
    }

    async fn remove(&self, under: &str) -> Result<(), StorageError> {
        let under = under.to_owned();
        self.blocking(move |folder| match fs::remove_dir_all(folder.root.join(&under)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StorageError::new(under, error)),
            _ => Ok(()),
        })
        .await
    }
}
