//! Where a fetched content goes.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::digest::Digest;

use super::Outline;

/// Where a fetched content goes, group by group, in any order.
#[async_trait]
pub trait Sink: Send + Sync + fmt::Debug {
    /// The content that is to come; gives the numbers of the groups that are here already, each verified with
    /// [`Outline::has`].
    ///
    /// # Errors
    /// When it cannot be taken: the fetch ends.
    async fn begin(&self, outline: &Outline) -> io::Result<BTreeSet<u64>>;

    /// A verified group. Several come at once, and the same one may come twice, with the same bytes.
    ///
    /// # Errors
    /// When it cannot be written: the fetch ends.
    ///
    /// # Cancel safety
    /// A fetch that is dropped drops this: the group is then written, half written or not written.
    async fn write(&self, outline: &Outline, group: u64, bytes: Bytes) -> io::Result<()>;

    /// All groups have been written.
    ///
    /// # Errors
    /// When they cannot be kept: the fetch ends.
    async fn finish(&self, outline: &Outline) -> io::Result<()>;
}

/// A content in memory.
#[derive(Debug, Default)]
pub struct MemorySink {
    bytes: Mutex<Vec<u8>>,
}

impl MemorySink {
    /// Without bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was fetched; not whole before [`Node::fetch`](crate::Node::fetch) has said so.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn begin(&self, outline: &Outline) -> io::Result<BTreeSet<u64>> {
        let size = usize::try_from(outline.size()).map_err(io::Error::other)?;
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.clear();
        bytes.try_reserve_exact(size).map_err(io::Error::other)?;
        bytes.resize(size, 0);
        Ok(BTreeSet::new())
    }

    async fn write(&self, outline: &Outline, group: u64, bytes: Bytes) -> io::Result<()> {
        let start = usize::try_from(outline.range(group).start).map_err(io::Error::other)?;
        let mut all = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let room = all.get_mut(start..start.saturating_add(bytes.len()));
        room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(&bytes);
        Ok(())
    }

    async fn finish(&self, _: &Outline) -> io::Result<()> {
        Ok(())
    }
}

/// A content in a file, which goes on where it was left.
///
/// Groups go to `PATH.DIGEST.part`. When all are there, it is flushed to the disk (`fsync`), gets its name, in the place of
/// a file that had it, and the directory is flushed: whoever finds the file under its name finds it whole, also after a crash.
///
/// No list says which groups were written, so none can be wrong: a fetch that begins reads what is in the partial file, and keeps
/// the groups that verify. That costs the reading, and neither flush nor list while it is written. What was lost or
/// changed is fetched again.
///
/// One fetch at a time has a path.
#[derive(Clone, Debug)]
pub struct FileSink {
    path: PathBuf,
}

impl FileSink {
    /// To a file in a directory that exists.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the groups of a content are until all are there.
    #[must_use]
    pub fn partial(&self, digest: &Digest) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{digest}.part"));
        path.into()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[async_trait]
impl Sink for FileSink {
    async fn begin(&self, outline: &Outline) -> io::Result<BTreeSet<u64>> {
        let (path, outline) = (self.partial(&outline.digest()), outline.clone());
        blocking(move || had(&path, &outline)).await
    }

    async fn write(&self, outline: &Outline, group: u64, bytes: Bytes) -> io::Result<()> {
        let (path, start) = (self.partial(&outline.digest()), outline.range(group).start);
        blocking(move || {
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.seek(SeekFrom::Start(start))?;
            file.write_all(&bytes)
        })
        .await
    }

    async fn finish(&self, outline: &Outline) -> io::Result<()> {
        let (partial, path, size) = (self.partial(&outline.digest()), self.path.clone(), outline.size());
        blocking(move || {
            let file = OpenOptions::new().write(true).open(&partial)?;
            file.set_len(size)?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            flush(directory.unwrap_or_else(|| Path::new(".")))
        })
        .await
    }
}

/// Elsewhere a directory cannot be opened.
fn flush(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// The groups that are in a file, which is made where there is none.
fn had(path: &Path, outline: &Outline) -> io::Result<BTreeSet<u64>> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let len = file.metadata()?.len();
    let mut had = BTreeSet::new();
    let mut bytes = Vec::new();
    for number in 0..outline.groups() {
        let range = outline.range(number);
        if range.end > len {
            break;
        }
        let size = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        bytes.resize(size, 0);
        file.read_exact(&mut bytes)?;
        if outline.has(number, &bytes) {
            had.insert(number);
        }
    }
    Ok(had)
}
