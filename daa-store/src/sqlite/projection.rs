//! Read models in SQLite files.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use daa_core::event::{Position, RecordedEvent};
use daa_core::projection::{
    ModelError, ModelState, ModelVersion, Place, Projection, ReadModel, Refusal, SkippedEvent, Step,
};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::model_files::{ModelFiles, Registered, engine_error};

/// A projection to tables in SQLite.
///
/// It names its tables plainly: each version has a file of its own. Names that begin with `daa_` are ours.
pub trait SqliteProjection: Projection {
    /// Makes the tables, which are empty before the first event.
    ///
    /// # Errors
    /// [`Refusal`].
    fn create(&self, transaction: &Transaction<'_>) -> Result<(), Refusal>;

    /// Changes rows by an event.
    ///
    /// # Errors
    /// [`Refusal`]. A [`rusqlite::Error`] that says that the disk is full, or damaged, or that another is in the way
    /// is taken for that; everything else makes the event poison.
    fn apply(&self, transaction: &Transaction<'_>, event: &RecordedEvent) -> Result<(), Refusal>;
}

/// A [`ReadModel`] in files beside each other: `FILE` says which version is live, `FILE.vN` is version *N*, with
/// its position. Any number of processes of one machine may use them at once; each of their transactions is of one file.
///
/// Rows and position are of one moment whatever crashes. After a power cut the last steps may be gone, and are taken
/// again: the events are the truth.
///
/// It needs a tokio runtime: the engine works on its blocking threads.
///
/// # Examples
/// ```
/// # use std::error::Error;
/// use daa_core::event::RecordedEvent;
/// use daa_core::id::ProjectionName;
/// use daa_core::projection::{ModelVersion, Projection, Refusal};
/// use daa_store::sqlite::rusqlite::Transaction;
/// use daa_store::sqlite::{SqliteProjection, SqliteReadModel};
///
/// /// How many events of each kind there were.
/// #[derive(Debug)]
/// struct Kinds(ProjectionName);
///
/// impl Projection for Kinds {
///     fn name(&self) -> &ProjectionName {
///         &self.0
///     }
///
///     fn version(&self) -> ModelVersion {
///         ModelVersion::new(1)
///     }
/// }
///
/// impl SqliteProjection for Kinds {
///     fn create(&self, transaction: &Transaction<'_>) -> Result<(), Refusal> {
///         let sql = "CREATE TABLE kinds (kind TEXT PRIMARY KEY, events INTEGER NOT NULL)";
///         Ok(transaction.execute_batch(sql)?)
///     }
///
///     fn apply(&self, transaction: &Transaction<'_>, event: &RecordedEvent) -> Result<(), Refusal> {
///         let sql = "INSERT INTO kinds VALUES (?1, 1) ON CONFLICT (kind) DO UPDATE SET events = events + 1";
///         transaction.prepare_cached(sql)?.execute([event.kind.as_str()])?;
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let model = SqliteReadModel::open(dir.join("kinds.db"), Kinds("kinds".parse()?))?;
/// // Once a projector has built it:
/// let kinds = model.read(|live| live.query_row("SELECT count(*) FROM kinds", [], |row| row.get::<_, u64>(0)));
/// assert_eq!(kinds.await?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SqliteReadModel<P> {
    shared: Arc<Shared<P>>,
}

impl<P> Clone for SqliteReadModel<P> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

#[derive(Debug)]
struct Shared<P> {
    projection: P,
    files: ModelFiles,
    /// Opened when they are needed, and kept as long as their version is there.
    writer: Mutex<Option<Connection>>,
    reader: Mutex<Option<(ModelVersion, Connection)>>,
}

const POSITION: &str = "SELECT position FROM daa_projection";
const SKIPPED: &str = "SELECT position, reason FROM daa_skipped ORDER BY position LIMIT ?1";

impl<P: SqliteProjection> SqliteReadModel<P> {
    /// Opens the model whose file is `path`, and creates the file where there is none. The directory must exist.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`]; [`ModelError::Corrupt`], also where the file has tables of somebody else.
    pub fn open(path: impl AsRef<Path>, projection: P) -> Result<Self, ModelError> {
        let files = ModelFiles::open(path.as_ref())?;
        let (writer, reader) = (Mutex::new(None), Mutex::new(None));
        Ok(Self { shared: Arc::new(Shared { projection, files, writer, reader }) })
    }

    /// The file that says which version is live.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.files.path()
    }

    /// Reads the live version; all that `query` reads is of one moment. `None` before any version is live.
    ///
    /// # Errors
    /// [`ModelError`]; [`ModelError::Definition`] where the query itself is at fault.
    ///
    /// # Cancel safety
    /// Safe; a query that was begun is brought to its end in the background.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<Option<T>, ModelError> {
        self.blocking(move |shared| shared.read(query)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared<P>) -> Result<T, ModelError> + Send + 'static,
    ) -> Result<T, ModelError> {
        let shared = self.shared.clone();
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.map_err(ModelError::unavailable)?
    }
}

impl<P: SqliteProjection> Shared<P> {
    fn version(&self) -> ModelVersion {
        self.projection.version()
    }

    /// Nothing is left half done where the holder panicked: its transaction is rolled back.
    fn with_writer<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        let mut kept = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = match kept.take() {
            Some(writer) => kept.insert(writer),
            None => kept.insert(self.files.connect(self.version())?),
        };
        let done = work(writer);
        if done.is_err() {
            // Perhaps the file is not the one it was.
            *kept = None;
        }
        done
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, ModelError> {
        let mut kept = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((version, mut reader)) = self.files.live(kept.take())? else { return Ok(None) };
        let transaction = reader.transaction().map_err(engine_error)?;
        let answer = query(&transaction).map_err(|error| match engines_own(error.into()) {
            Ok(error) => engine_error(error),
            Err(source) => ModelError::Definition { source },
        })?;
        transaction.commit().map_err(engine_error)?;
        *kept = Some((version, reader));
        Ok(Some(answer))
    }

    fn begin(&self) -> Result<(), ModelError> {
        let version = self.version();
        self.files.change(|files, registered| {
            if files.state_of(registered)?.place(version)? != Place::Nowhere {
                return Ok(None);
            }
            let mut file = files.create(version)?;
            let transaction = file.transaction().map_err(engine_error)?;
            let made = self.projection.create(&transaction);
            made.map_err(|refusal| match engines_own(refusal) {
                Ok(error) => engine_error(error),
                Err(source) => ModelError::Definition { source },
            })?;
            transaction.commit().map_err(engine_error)?;
            files.keep(file)?;
            Ok(Some((Registered { building: Some(version), ..registered }, ())))
        })
    }

    fn apply(&self, step: &Step) -> Result<(), ModelError> {
        let version = self.version();
        // Before the file is opened: that of a version that is not there is nowhere.
        self.files.admit(version)?;
        self.with_writer(|file| {
            let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate);
            let transaction = transaction.map_err(engine_error)?;
            // Another may have swapped while this waited.
            self.files.admit(version)?;
            let actual = position(&transaction)?;
            if actual != step.from {
                return Err(ModelError::Moved { expected: step.from, actual });
            }
            for event in &step.events {
                let applied = self.projection.apply(&transaction, event);
                applied.map_err(|refusal| match engines_own(refusal) {
                    Ok(error) => engine_error(error),
                    Err(source) => ModelError::Poison { position: event.position, source },
                })?;
            }
            record(&transaction, step).map_err(engine_error)?;
            transaction.commit().map_err(engine_error)
        })
    }

    fn swap(&self) -> Result<(), ModelError> {
        let version = self.version();
        self.files.change(|files, registered| {
            // The live one must not go on between the look and the end of the swap.
            let still =
                registered.live.filter(|&live| live < version).map(|live| files.hold(live)).transpose()?;
            let swaps = files.state_of(registered)?.may_swap(version)?;
            Ok(swaps.then_some((Registered { live: Some(version), building: None }, still)))
        })
    }

    fn skipped(&self, limit: usize) -> Result<Vec<SkippedEvent>, ModelError> {
        let version = self.version();
        self.files.admit(version)?;
        self.with_writer(|file| {
            let mut select = file.prepare_cached(SKIPPED).map_err(engine_error)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = select.query_map([limit], |row| {
                Ok(SkippedEvent::new(Position::new(row.get::<_, i64>(0)?.cast_unsigned()), row.get(1)?))
            });
            rows.and_then(Iterator::collect).map_err(engine_error)
        })
    }
}

pub(super) fn position(connection: &Connection) -> Result<Position, ModelError> {
    let position = connection.query_row(POSITION, [], |row| row.get::<_, i64>(0)).map_err(engine_error)?;
    Ok(Position::new(position.cast_unsigned()))
}

fn record(transaction: &Transaction<'_>, step: &Step) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached("INSERT INTO daa_skipped VALUES (?1, ?2)")?;
    for skipped in &step.skipped {
        insert.execute(params![skipped.position.get().cast_signed(), skipped.reason])?;
    }
    let mut update = transaction.prepare_cached("UPDATE daa_projection SET position = ?1")?;
    update.execute([step.to.get().cast_signed()])?;
    Ok(())
}

/// An error of the engine that no event is to blame for; otherwise what was refused.
fn engines_own(refusal: Refusal) -> Result<rusqlite::Error, Refusal> {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, FileLockingProtocolFailed,
        NotADatabase, OperationInterrupted, OutOfMemory, PermissionDenied, ReadOnly, SystemIoFailure,
    };
    let error = *refusal.downcast::<rusqlite::Error>()?;
    match error.sqlite_error_code() {
        Some(
            CannotOpen
            | DatabaseBusy
            | DatabaseCorrupt
            | DatabaseLocked
            | DiskFull
            | FileLockingProtocolFailed
            | NotADatabase
            | OperationInterrupted
            | OutOfMemory
            | PermissionDenied
            | ReadOnly
            | SystemIoFailure,
        ) => Ok(error),
        _ => Err(error.into()),
    }
}

#[async_trait]
impl<P: SqliteProjection> ReadModel for SqliteReadModel<P> {
    fn projection(&self) -> &dyn Projection {
        &self.shared.projection
    }

    async fn state(&self) -> Result<ModelState, ModelError> {
        self.blocking(|shared| shared.files.state()).await
    }

    async fn begin(&self) -> Result<(), ModelError> {
        self.blocking(Shared::begin).await
    }

    async fn apply(&self, step: Step) -> Result<(), ModelError> {
        self.blocking(move |shared| shared.apply(&step)).await
    }

    async fn swap(&self) -> Result<(), ModelError> {
        self.blocking(Shared::swap).await
    }

    async fn skipped(&self, limit: usize) -> Result<Vec<SkippedEvent>, ModelError> {
        self.blocking(move |shared| shared.skipped(limit)).await
    }
}
