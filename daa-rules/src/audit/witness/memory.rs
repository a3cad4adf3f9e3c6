//! What a witness signed, in a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{Seen, WitnessMemory};
use crate::audit::hash::TreeHash;
use crate::audit::note::KeyName;
use crate::audit::replace::{folder_of, lock, replace_durably, sweep};
use crate::audit::tiles::StorageError;

/// The largest file: some hundred thousand logs.
const MAX_FILE: u64 = 32 << 20;

/// What a witness signed last of each log, as JSON in a file. Several processes may share it: whoever changes it holds
/// a lock on the file beside it, `NAME.lock`.
#[derive(Clone, Debug)]
pub struct WitnessFile {
    path: PathBuf,
    /// What crashes left is removed by the first who signs.
    swept: Arc<Once>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    size: u64,
    root: TreeHash,
}

impl WitnessFile {
    /// The file at `path`, which is made when something is signed.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), swept: Arc::new(Once::new()) }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let path = self.path.clone();
        let name = path.display().to_string();
        let done = spawn_blocking(move || work(&path)).await;
        done.map_err(|error| StorageError::new(name.clone(), error))?
            .map_err(|error| StorageError::new(name, error))
    }
}

fn load(path: &Path) -> io::Result<BTreeMap<String, Entry>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE), &mut bytes)?;
    // A file that cannot be read must not count as one that is not there: everything would be signed again.
    Ok(serde_json::from_slice(&bytes)?)
}

fn seen(entries: &BTreeMap<String, Entry>, origin: &KeyName) -> Seen {
    entries.get(origin.as_str()).map_or(Seen::NOTHING, |entry| Seen::new(entry.size, entry.root))
}

#[async_trait]
impl WitnessMemory for WitnessFile {
    async fn seen(&self, origin: &KeyName) -> Result<Seen, StorageError> {
        let origin = origin.clone();
        self.blocking(move |path| Ok(seen(&load(path)?, &origin))).await
    }

    async fn advance(&self, origin: &KeyName, from: Seen, to: Seen) -> Result<bool, StorageError> {
        let (origin, swept) = (origin.clone(), self.swept.clone());
        self.blocking(move |path| {
            let _held = lock(path)?;
            let mut entries = load(path)?;
            if seen(&entries, &origin) != from {
                return Ok(false);
            }
            entries.insert(origin.as_str().to_owned(), Entry { size: to.size, root: to.root });
            swept.call_once(|| sweep(folder_of(path)));
            replace_durably(path, &serde_json::to_vec_pretty(&entries)?).map(|()| true)
        })
        .await
    }
}
