//! The files of a read model: one for each version, and one that says which is live.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use daa_core::event::Position;
use daa_core::projection::{ModelError, ModelState, ModelVersion, Place, SlotState};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};

use super::projection::position;
use crate::durable::{remove_if_there, sync_dir};

/// How long one waits for another that writes.
const PATIENCE: Duration = Duration::from_secs(10);
/// So often a reader looks again which version is live, when the file of the one it found is gone.
const LOOKS: u32 = 10;

/// One row: which versions there are.
const REGISTRY: &str = "
    CREATE TABLE IF NOT EXISTS daa_versions (
        id       INTEGER PRIMARY KEY CHECK (id = 1),
        live     INTEGER,
        building INTEGER
    ) STRICT";
/// What a registry does not have.
const FOREIGN: &str = "
    SELECT name FROM sqlite_schema
    WHERE type = 'table' AND name <> 'daa_versions' AND substr(name, 1, 7) <> 'sqlite_' LIMIT 1";
const REGISTERED: &str = "SELECT live, building FROM daa_versions";
const REGISTER: &str = "INSERT OR REPLACE INTO daa_versions VALUES (1, ?1, ?2)";
const SLOT: &str = "
    CREATE TABLE daa_projection (position INTEGER NOT NULL) STRICT;
    INSERT INTO daa_projection VALUES (0);
    CREATE TABLE daa_skipped (position INTEGER PRIMARY KEY, reason TEXT NOT NULL) STRICT;
";

/// Which versions there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Registered {
    pub(super) live: Option<ModelVersion>,
    pub(super) building: Option<ModelVersion>,
}

impl Registered {
    /// The versions without their positions.
    fn versions(self) -> ModelState {
        let slot = |version| SlotState::new(version, Position::START);
        ModelState::new(self.live.map(slot), self.building.map(slot))
    }

    fn has(self, version: ModelVersion) -> bool {
        self.live == Some(version) || self.building == Some(version)
    }
}

#[derive(Debug)]
pub(super) struct ModelFiles {
    path: PathBuf,
    registry: Mutex<Connection>,
}

impl ModelFiles {
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        // No log beside it: it is small, seldom written, and must be on disk before a file is removed.
        let registry = open(path, OpenFlags::SQLITE_OPEN_CREATE).map_err(engine_error)?;
        let foreign = registry.query_row(FOREIGN, [], |row| row.get::<_, String>(0)).optional();
        if let Some(table) = foreign.map_err(engine_error)? {
            let detail = format!("{} is no read model: it has a table {table}", path.display());
            return Err(ModelError::Corrupt { detail });
        }
        registry.execute_batch(REGISTRY).map_err(engine_error)?;
        Ok(Self { path: path.to_owned(), registry: Mutex::new(registry) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Which versions there are, and where. A file may go while it is looked for: then the registry says something else.
    pub(super) fn state(&self) -> Result<ModelState, ModelError> {
        let mut looks = 0;
        loop {
            let registered = self.registered()?;
            match self.state_of(registered) {
                Err(_) if looks < LOOKS && self.registered()? != registered => looks += 1,
                state => return state,
            }
        }
    }

    fn registered(&self) -> Result<Registered, ModelError> {
        registered(&self.registry.lock().unwrap_or_else(PoisonError::into_inner)).map_err(engine_error)
    }

    pub(super) fn state_of(&self, registered: Registered) -> Result<ModelState, ModelError> {
        let slot = |version: Option<ModelVersion>| {
            version.map(|version| Ok(SlotState::new(version, position(&self.connect(version)?)?))).transpose()
        };
        Ok(ModelState::new(slot(registered.live)?, slot(registered.building)?))
    }

    /// Changes which versions there are, one process at a time; the files of those that are no more are removed. What
    /// `change` answers beside the versions is held until others see them.
    pub(super) fn change<H>(
        &self,
        change: impl FnOnce(&Self, Registered) -> Result<Option<(Registered, H)>, ModelError>,
    ) -> Result<(), ModelError> {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = registry.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(engine_error)?;
        let before = registered(&transaction).map_err(engine_error)?;
        let Some((after, held)) = change(self, before)? else { return Ok(()) };
        let number = |version: Option<ModelVersion>| version.map(ModelVersion::get);
        let row = (number(after.live), number(after.building));
        transaction.execute(REGISTER, row).map_err(engine_error)?;
        transaction.commit().map_err(engine_error)?;
        drop(held);
        for gone in [before.live, before.building].into_iter().flatten().filter(|&gone| !after.has(gone)) {
            if let Err(error) = self.remove(gone) {
                // Where an open file cannot be removed, it stays, and nobody looks at it.
                tracing::debug!(version = %gone, %error, "the file of a version that is no more is left");
            }
        }
        Ok(())
    }

    /// A new file for a version. What a crash left of one is removed: nobody uses what is not registered.
    pub(super) fn create(&self, version: ModelVersion) -> Result<Connection, ModelError> {
        self.remove(version).map_err(ModelError::unavailable)?;
        let file = open(&self.file(version), OpenFlags::SQLITE_OPEN_CREATE).map_err(engine_error)?;
        file.pragma_update(None, "journal_mode", "WAL").map_err(engine_error)?;
        file.execute_batch(SLOT).map_err(engine_error)?;
        Ok(file)
    }

    /// Closes a new file, so that it is on disk under its name.
    pub(super) fn keep(&self, file: Connection) -> Result<(), ModelError> {
        file.close().map_err(|(_, error)| engine_error(error))?;
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_dir(dir).map_err(ModelError::unavailable)
    }

    /// Whether the version is there.
    pub(super) fn admit(&self, version: ModelVersion) -> Result<(), ModelError> {
        match self.registered()?.versions().place(version)? {
            Place::Nowhere => Err(ModelError::NotBegun { version }),
            _ => Ok(()),
        }
    }

    /// The file of a version that is registered.
    pub(super) fn connect(&self, version: ModelVersion) -> Result<Connection, ModelError> {
        let file = open(&self.file(version), OpenFlags::empty()).map_err(engine_error)?;
        // What a power cut takes back is made again of the events; rows and position stay of one moment.
        file.pragma_update(None, "synchronous", "NORMAL").map_err(engine_error)?;
        Ok(file)
    }

    /// The file of a version, which nobody else can write to before this is dropped.
    pub(super) fn hold(&self, version: ModelVersion) -> Result<Connection, ModelError> {
        let file = self.connect(version)?;
        file.execute_batch("BEGIN IMMEDIATE").map_err(engine_error)?;
        Ok(file)
    }

    /// The file of the live version; `kept` if it is that.
    pub(super) fn live(
        &self,
        kept: Option<(ModelVersion, Connection)>,
    ) -> Result<Option<(ModelVersion, Connection)>, ModelError> {
        let (mut kept, mut looks) = (kept, 0);
        loop {
            let Some(live) = self.registered()?.live else { return Ok(None) };
            if let Some(kept) = kept.take().filter(|&(version, _)| version == live) {
                return Ok(Some(kept));
            }
            match self.connect(live) {
                Ok(file) => return Ok(Some((live, file))),
                Err(_) if looks < LOOKS => looks += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn remove(&self, version: ModelVersion) -> std::io::Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            let mut name = self.file(version).into_os_string();
            name.push(suffix);
            remove_if_there(Path::new(&name))?;
        }
        Ok(())
    }

    fn file(&self, version: ModelVersion) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".v{version}"));
        name.into()
    }
}

fn registered(registry: &Connection) -> rusqlite::Result<Registered> {
    let row = registry.query_row(REGISTERED, [], |row| {
        let version = |number: Option<u32>| number.map(ModelVersion::new);
        Ok(Registered { live: version(row.get(0)?), building: version(row.get(1)?) })
    });
    Ok(row.optional()?.unwrap_or_default())
}

fn open(path: &Path, extra: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | extra;
    let file = Connection::open_with_flags(path, flags)?;
    file.busy_timeout(PATIENCE)?;
    file.pragma_update(None, "trusted_schema", false)?;
    Ok(file)
}

/// What the engine's errors mean.
pub(super) fn engine_error(error: rusqlite::Error) -> ModelError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            ModelError::Corrupt { detail: error.to_string() }
        }
        _ => ModelError::unavailable(error),
    }
}
