//! Read models in schemas of PostgreSQL.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::clock::Timestamp;
use daa_core::event::{Position, RecordedEvent};
use daa_core::projection::{
    ModelError, ModelState, ModelVersion, Place, Projection, ReadModel, Refusal, SkippedEvent, Step,
};
use deadpool_postgres::Pool;
use tokio_postgres::{Client, Error, Transaction};

use super::connection::{Statements, lock_key, pool};
use super::engine::Failure;
use super::model_schemas::{ModelSchemas, Slot};
use super::options::PostgresOptions;

/// A view may take longer than a statement of a store.
const REFRESHED_WITHIN: Duration = Duration::from_secs(600);

/// A projection to tables in PostgreSQL.
///
/// It names its tables plainly: each version has a schema of its own, which comes first in the search path. Names that
/// begin with `daa_` are ours.
#[async_trait]
pub trait PostgresProjection: Projection {
    /// Makes the tables, which are empty before the first event, and the materialised views, each with a unique index.
    ///
    /// # Errors
    /// [`Refusal`].
    async fn create(&self, transaction: &Transaction<'_>) -> Result<(), Refusal>;

    /// Changes rows by an event.
    ///
    /// # Errors
    /// [`Refusal`]. An [`Error`] that says that the server is away, full, or gave up the transaction for the sake of another
    /// is taken for that; everything else makes the event poison.
    async fn apply(&self, transaction: &Transaction<'_>, event: &RecordedEvent) -> Result<(), Refusal>;

    /// The materialised views of its tables. They are refreshed `CONCURRENTLY`, so that nobody who reads them waits, after
    /// rows have changed.
    fn materialized_views(&self) -> Vec<MaterializedView> {
        Vec::new()
    }
}

/// A materialised view of a projection's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaterializedView {
    /// Its name, as an identifier of SQL that needs no quotes.
    pub name: String,
    /// It is refreshed no more often than this.
    pub at_most_every: Duration,
}

impl MaterializedView {
    /// A view that is refreshed no more often than this.
    #[must_use]
    pub fn new(name: &str, at_most_every: Duration) -> Self {
        Self { name: name.to_owned(), at_most_every }
    }
}

/// A [`ReadModel`] in the schema of the options: the live version is that schema, version *N* that is being built is
/// `SCHEMA_vN`, and a swap renames both in one transaction. So whoever reads `SCHEMA.TABLE` reads the live version,
/// with any client; each of their statements is of one version and one moment.
///
/// Any number of processes on any number of machines may use it at once.
///
/// The options name the server and the schema, which must be another one than that of an event store; those that are
/// about a store have no effect.
#[derive(Debug)]
pub struct PostgresReadModel<P> {
    projection: P,
    schemas: ModelSchemas,
    pool: Pool,
    views: Mutex<BTreeMap<String, View>>,
}

#[derive(Clone, Copy, Debug)]
struct View {
    at_most_every: Duration,
    /// Whether rows have changed since.
    stale: bool,
    refreshed: Option<Timestamp>,
}

impl<P: PostgresProjection> PostgresReadModel<P> {
    /// The model in the schema of the options, which is made when it is begun. Connects when it is used.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`] where the certificates of the options are none;
    /// [`ModelError::Definition`] for the name of a view that would need quotes.
    pub fn new(options: &PostgresOptions, projection: P) -> Result<Self, ModelError> {
        let mut views = BTreeMap::new();
        for view in projection.materialized_views() {
            if !is_identifier(&view.name) {
                let source = format!("{:?} cannot be the name of a view", view.name).into();
                return Err(ModelError::Definition { source });
            }
            // What another process has changed is not known: they are refreshed once in any case.
            let state = View { at_most_every: view.at_most_every, stale: true, refreshed: None };
            views.insert(view.name, state);
        }
        let schemas = ModelSchemas::new(&options.schema, lock_key("read model", &options.schema));
        let pool = pool(options, Statements::Anybodys).map_err(failure)?;
        Ok(Self { projection, schemas, pool, views: Mutex::new(views) })
    }

    fn version(&self) -> ModelVersion {
        self.projection.version()
    }

    fn views(&self) -> MutexGuard<'_, BTreeMap<String, View>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn client(&self) -> Result<deadpool_postgres::Client, ModelError> {
        self.pool.get().await.map_err(|error| failure(error.into()))
    }

    /// The views that are stale and due, and when the next one is.
    fn due(&self, now: Timestamp) -> (Vec<String>, Option<Timestamp>) {
        let (mut due, mut next) = (Vec::new(), None::<Timestamp>);
        for (name, view) in &*self.views() {
            let at = view.refreshed.map_or(now, |refreshed| refreshed + view.at_most_every);
            if view.stale && at <= now {
                due.push(name.clone());
            } else if view.stale {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        (due, next)
    }

    /// Refreshes a view of this version, wherever that is; whether it is there.
    async fn refresh_view(&self, client: &mut Client, name: &str) -> Result<bool, ModelError> {
        let transaction = client.transaction().await.map_err(engine_error)?;
        self.schemas.share(&transaction).await?;
        let Some(slot) = self.schemas.slot(&transaction, self.version()).await? else { return Ok(false) };
        slot.enter(&transaction).await?;
        let limit = REFRESHED_WITHIN.as_millis();
        // The name has passed the alphabet of identifiers.
        let sql =
            format!("SET LOCAL statement_timeout = {limit}; REFRESH MATERIALIZED VIEW CONCURRENTLY {name}");
        transaction.batch_execute(&sql).await.map_err(definition_error)?;
        transaction.commit().await.map_err(engine_error)?;
        Ok(true)
    }

    async fn refresh_views(&self, names: Vec<String>, now: Option<Timestamp>) -> Result<(), ModelError> {
        if names.is_empty() {
            return Ok(());
        }
        let mut client = self.client().await?;
        for name in names {
            // Before, so that what changes meanwhile makes it stale again.
            self.mark(&name, |view| view.stale = false);
            match self.refresh_view(&mut client, &name).await {
                Ok(true) => self.mark(&name, |view| view.refreshed = now.or(view.refreshed)),
                Ok(false) => {}
                Err(error) => {
                    self.mark(&name, |view| view.stale = true);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn mark(&self, name: &str, mark: impl FnOnce(&mut View)) {
        if let Some(view) = self.views().get_mut(name) {
            mark(view);
        }
    }

    async fn take(&self, transaction: &Transaction<'_>, step: &Step) -> Result<(), ModelError> {
        self.schemas.share(transaction).await?;
        let version = self.version();
        let slot = self.schemas.slot(transaction, version).await?.ok_or(ModelError::NotBegun { version })?;
        slot.enter(transaction).await?;
        // Others wait here until it is known whether this step is taken.
        let lock = "SELECT position FROM daa_projection FOR UPDATE";
        let row = transaction.query_one(lock, &[]).await.map_err(engine_error)?;
        let actual = Position::new(row.try_get::<_, i64>(0).map_err(engine_error)?.cast_unsigned());
        if actual != step.from {
            return Err(ModelError::Moved { expected: step.from, actual });
        }
        for event in &step.events {
            let applied = self.projection.apply(transaction, event).await;
            applied.map_err(|refusal| match servers_own(refusal) {
                Ok(error) => engine_error(error),
                Err(source) => ModelError::Poison { position: event.position, source },
            })?;
        }
        for skipped in &step.skipped {
            let (position, reason) = (skipped.position.get().cast_signed(), &skipped.reason);
            let insert = "INSERT INTO daa_skipped (position, reason) VALUES ($1, $2)";
            transaction.execute(insert, &[&position, reason]).await.map_err(engine_error)?;
        }
        let update = "UPDATE daa_projection SET position = $1";
        let to = step.to.get().cast_signed();
        transaction.execute(update, &[&to]).await.map_err(engine_error)?;
        Ok(())
    }
}

#[async_trait]
impl<P: PostgresProjection> ReadModel for PostgresReadModel<P> {
    fn projection(&self) -> &dyn Projection {
        &self.projection
    }

    async fn state(&self) -> Result<ModelState, ModelError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(engine_error)?;
        self.schemas.share(&transaction).await?;
        self.schemas.state(&transaction).await
    }

    async fn begin(&self) -> Result<(), ModelError> {
        let (mut client, version) = (self.client().await?, self.version());
        let transaction = client.transaction().await.map_err(engine_error)?;
        self.schemas.own(&transaction).await?;
        let state = self.schemas.state(&transaction).await?;
        if state.place(version)? != Place::Nowhere {
            return Ok(());
        }
        if let Some(building) = state.building {
            self.schemas.drop_building(&transaction, building.version).await?;
        }
        let slot = self.schemas.create(&transaction, version).await?;
        slot.enter(&transaction).await?;
        let created = self.projection.create(&transaction).await;
        created.map_err(|refusal| match servers_own(refusal) {
            Ok(error) => engine_error(error),
            Err(source) => ModelError::Definition { source },
        })?;
        transaction.commit().await.map_err(engine_error)
    }

    async fn apply(&self, step: Step) -> Result<(), ModelError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(engine_error)?;
        let taken = match self.take(&transaction, &step).await {
            Ok(()) => transaction.commit().await.map_err(engine_error),
            Err(error) => Err(error),
        };
        // After a failure too: the step may have been taken, or another has taken one and died before it refreshed.
        if taken.is_err() || !step.events.is_empty() {
            self.views().values_mut().for_each(|view| view.stale = true);
        }
        taken
    }

    async fn swap(&self) -> Result<(), ModelError> {
        let stale =
            self.views().iter().filter(|(_, view)| view.stale).map(|(name, _)| name.clone()).collect();
        self.refresh_views(stale, None).await?;
        let mut client = self.client().await?;
        self.schemas.drop_old(&mut client).await?;
        let transaction = client.transaction().await.map_err(engine_error)?;
        self.schemas.own(&transaction).await?;
        let state = self.schemas.state(&transaction).await?;
        if !state.may_swap(self.version())? {
            return Ok(());
        }
        self.schemas.swap(&transaction, self.version(), state.live.is_some()).await?;
        transaction.commit().await.map_err(engine_error)?;
        if let Err(error) = self.schemas.drop_old(&mut client).await {
            // Somebody reads it still; the next swap removes it.
            tracing::debug!(%error, "the schema of a version that is no more is left there");
        }
        Ok(())
    }

    async fn refresh(&self, now: Timestamp) -> Result<Option<Timestamp>, ModelError> {
        let (due, _) = self.due(now);
        self.refresh_views(due, Some(now)).await?;
        Ok(self.due(now).1)
    }

    async fn skipped(&self, limit: usize) -> Result<Vec<SkippedEvent>, ModelError> {
        let (mut client, version) = (self.client().await?, self.version());
        let transaction = client.transaction().await.map_err(engine_error)?;
        self.schemas.share(&transaction).await?;
        let slot = self.schemas.slot(&transaction, version).await?.ok_or(ModelError::NotBegun { version })?;
        slot.enter(&transaction).await?;
        let select = "SELECT position, reason FROM daa_skipped ORDER BY position LIMIT $1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = transaction.query(select, &[&limit]).await.map_err(engine_error)?;
        let skipped = rows.iter().map(|row| {
            let position = Position::new(row.try_get::<_, i64>(0)?.cast_unsigned());
            Ok(SkippedEvent::new(position, row.try_get(1)?))
        });
        skipped.collect::<Result<_, _>>().map_err(engine_error)
    }
}

fn is_identifier(name: &str) -> bool {
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let goes_on = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    begins && name.len() <= 63 && name.bytes().all(goes_on)
}

fn failure(failure: Failure) -> ModelError {
    ModelError::unavailable(failure)
}

pub(super) fn engine_error(error: Error) -> ModelError {
    failure(error.into())
}

/// An error of what the projection is made of, unless the server is away.
fn definition_error(error: Error) -> ModelError {
    match servers_own(error.into()) {
        Ok(error) => engine_error(error),
        Err(source) => ModelError::Definition { source },
    }
}

/// An error of the server that no event is to blame for; otherwise what was refused.
fn servers_own(refusal: Refusal) -> Result<Error, Refusal> {
    let error = *refusal.downcast::<Error>()?;
    let passes = match error.as_db_error() {
        Some(said) => is_servers_own(said.code().code()),
        // Without an answer of the server it is the connection, or a value that is not of the type of its column.
        None => error.is_closed() || error.source().is_some_and(|source| source.is::<io::Error>()),
    };
    if passes { Ok(error) } else { Err(error.into()) }
}

/// By the classes of SQLSTATE (PostgreSQL documentation, appendix A): the connection, a transaction that was given up for
/// the sake of another, no room, an operator who intervenes, the system, damaged pages; besides, a server that is read-only,
/// a transaction that was idle for too long, a lock that was not to be had.
fn is_servers_own(code: &str) -> bool {
    ["08", "40", "53", "57", "58", "XX"].iter().any(|class| code.starts_with(class))
        || matches!(code, "25006" | "25P03" | "55P03")
}

impl Slot {
    /// What is named plainly is in this schema from now on.
    async fn enter(&self, transaction: &Transaction<'_>) -> Result<(), ModelError> {
        let sql = format!("SET LOCAL search_path TO {}, public", self.schema);
        transaction.batch_execute(&sql).await.map_err(engine_error)
    }
}
