//! The last checkpoint in a file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use super::{CheckpointKeeper, KeepError};
use crate::audit::note::MAX_NOTE;
use crate::audit::replace::{folder_of, lock, replace_durably, sweep};
use crate::audit::tiles::StorageError;

/// The last checkpoint in a file. Several processes may share it: whoever replaces it holds a lock on the file beside it,
/// `NAME.lock`, so the file system must have locks; one that has none is an error, and nothing is kept.
#[derive(Clone, Debug)]
pub struct KeeperFile {
    path: PathBuf,
    /// What crashes left is removed by the first who keeps.
    swept: Arc<Once>,
}

impl KeeperFile {
    /// The file at `path`, which is made when there is a checkpoint.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), swept: Arc::new(Once::new()) }
    }

    async fn blocking<T: Send + 'static, E: From<StorageError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let path = self.path.clone();
        let name = path.display().to_string();
        spawn_blocking(move || work(&path)).await.map_err(|error| StorageError::new(name, error))?
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> StorageError {
    move |error| StorageError::new(path.display().to_string(), error)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(file, MAX_NOTE as u64 + 1), &mut text)?;
    Ok(Some(text))
}

#[async_trait]
impl CheckpointKeeper for KeeperFile {
    async fn last(&self) -> Result<Option<String>, StorageError> {
        self.blocking(|path| read(path).map_err(failed(path))).await
    }

    async fn keep(&self, checkpoint: &str) -> Result<(), KeepError> {
        let (text, swept) = (checkpoint.to_owned(), self.swept.clone());
        self.blocking(move |path| {
            let failed = failed(path);
            let _held = lock(path).map_err(&failed)?;
            KeepError::check(read(path).map_err(&failed)?.as_deref(), &text)?;
            swept.call_once(|| sweep(folder_of(path)));
            Ok(replace_durably(path, text.as_bytes()).map_err(&failed)?)
        })
        .await
    }
}
