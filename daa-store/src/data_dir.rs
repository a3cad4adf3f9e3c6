//! One directory with everything that must outlive the process.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daa_core::event::EventStore;

use crate::durable;
use crate::folder::{FolderArtifacts, create_dir};
use crate::lock::DirLock;
use crate::open::OpenError;
use crate::opening::Opening;
use crate::sqlite::{SqliteEventStore, SqliteOptions};

/// Says that a directory is ours and finished, and of which format.
const MARKER: &str = "daa-data";
const UNFINISHED_MARKER: &str = "daa-data.new";
const FIRST_LINE: &str = "daa data directory";
const FORMAT: u32 = 1;
const EVENTS: &str = "events.db";
const ARTIFACTS: &str = "artifacts";

/// A directory with an event store and artefacts, which belongs to one process at a time, or with
/// [`Sharing::Processes`](crate::sqlite::Sharing::Processes) to several that share both.
///
/// | name | content |
/// |---|---|
/// | `daa-data` | the format version; written last, so that it marks a finished directory |
/// | `lock` | locked as long as the directory is open; the operating system frees it when the process ends |
/// | `lock.opening` | locked while a shared directory is being opened |
/// | `events.db` | the [`SqliteEventStore`], with `events.db-wal` and `events.db-shm` while it is open |
/// | `artifacts/` | the [`FolderArtifacts`] |
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use daa_core::artifact::Artifacts;
/// use daa_store::data_dir::DataDir;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("data");
/// let data = DataDir::open(&path)?;
/// let digest = data.artifacts().put("weights".into()).await?;
/// data.close().await;
///
/// let again = DataDir::open(&path)?;
/// assert_eq!(again.artifacts().get(&digest).await?, Some("weights".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    events: Arc<SqliteEventStore>,
    artifacts: Arc<FolderArtifacts>,
}

impl DataDir {
    /// Opens the directory `path`. Where nothing or an empty directory is, it makes a new one; the parent must
    /// exist. A crash while it does leaves something that the next call finishes.
    ///
    /// Blocks while the event store is checked: see [`SqliteEventStore::open`].
    ///
    /// # Errors
    /// [`OpenError`], and nothing is changed: the directory holds something else, is in use, read-only, of a newer
    /// version or damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, SqliteOptions::default())
    }

    /// As [`Self::open`], with options for the event store. Those of them that are about sharing hold for the whole
    /// directory.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, OpenError> {
        let path = path.as_ref();
        // Looked at before the lock, which would leave its file in a directory that is not ours.
        examine(path)?;
        create_dir(path).map_err(|error| OpenError::io(path, error))?;
        let opening = Opening::begin(path, &options)?;
        let finished = examine(path)?;
        let (events, artifacts) = (path.join(EVENTS), path.join(ARTIFACTS));
        if opening.is_alone() {
            prepare(path, finished)?;
        } else if !finished {
            // A store that is not of a data directory.
            return Err(OpenError::InUse { path: path.to_owned() });
        }
        let lock = Arc::new(opening.finish()?);
        let events = SqliteEventStore::open_prepared(&events, &options, &lock)?;
        let artifacts = FolderArtifacts::open_prepared(&artifacts, &lock);
        Ok(Self { path: path.to_owned(), events: Arc::new(events), artifacts: Arc::new(artifacts) })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The event store.
    #[must_use]
    pub const fn events(&self) -> &Arc<SqliteEventStore> {
        &self.events
    }

    /// The artefacts.
    #[must_use]
    pub const fn artifacts(&self) -> &Arc<FolderArtifacts> {
        &self.artifacts
    }

    /// Closes the event store, after the appends that it has accepted. The directory is free for others when no
    /// clone of [`Self::artifacts`] is held any more.
    ///
    /// # Cancel safety
    /// As [`EventStore::close`].
    pub async fn close(self) {
        self.events.close().await;
    }
}

/// Whether the directory is finished; `false` for one that is missing, empty, or was left unfinished.
fn examine(path: &Path) -> Result<bool, OpenError> {
    let failed = |error| OpenError::io(path, error);
    let foreign = |found: String| OpenError::Foreign { path: path.to_owned(), found };
    match fs::read_to_string(path.join(MARKER)) {
        Ok(text) => return parse_marker(path, &text).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return parse_marker(path, "").map(|()| true);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(foreign("not a directory".to_owned()));
        }
        Err(error) => return Err(failed(error)),
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        if !may_be_unfinished(&name) {
            return Err(foreign(format!("a directory without {MARKER:?} that has {name:?} in it")));
        }
    }
    Ok(false)
}

/// Makes what is missing. Nobody else may have the directory open.
fn prepare(path: &Path, finished: bool) -> Result<(), OpenError> {
    let events = path.join(EVENTS);
    if finished && !events.exists() {
        return Err(OpenError::Corrupt { path: events, detail: "the event store is missing".to_owned() });
    }
    SqliteEventStore::prepare(&events)?;
    FolderArtifacts::prepare(&path.join(ARTIFACTS))?;
    if finished { Ok(()) } else { mark(path).map_err(|error| OpenError::io(path, error)) }
}

fn parse_marker(path: &Path, text: &str) -> Result<(), OpenError> {
    let path = path.join(MARKER);
    let mut lines = text.lines();
    if lines.next() != Some(FIRST_LINE) {
        return Err(OpenError::Corrupt { path, detail: format!("its first line is not {FIRST_LINE:?}") });
    }
    match lines.next().and_then(|line| line.strip_prefix("format ")).and_then(|found| found.parse().ok()) {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(OpenError::SchemaTooNew { path, found, supported: FORMAT }),
        _ => Err(OpenError::Corrupt { path, detail: "its second line has no known format".to_owned() }),
    }
}

fn mark(path: &Path) -> io::Result<()> {
    let text = format!("{FIRST_LINE}\nformat {FORMAT}\n");
    let unfinished = path.join(UNFINISHED_MARKER);
    durable::remove_if_there(&unfinished)?;
    durable::write(&unfinished, &path.join(MARKER), text.as_bytes())
}

/// Whether a crash in the middle of making a directory can have left this name.
fn may_be_unfinished(name: &OsStr) -> bool {
    let ours = [UNFINISHED_MARKER, ARTIFACTS].iter().any(|it| name == *it);
    ours || DirLock::leaves(name) || name.to_str().is_some_and(|name| name.starts_with(EVENTS))
}
