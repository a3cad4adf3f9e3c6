//! The schemas of a read model: one for the live version, one for the one that is being built.

use daa_core::event::Position;
use daa_core::projection::{ModelError, ModelState, ModelVersion, SlotState};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::projection::engine_error;

/// How long the removal of an old version waits for those who still read it.
const LOCK_TIMEOUT_MS: u32 = 2_000;

/// Schemas by a pattern, and whether they have the table of ours that says whose they are.
const SCHEMAS: &str = "
    SELECT n.nspname::text, a.attname IS NOT NULL FROM pg_namespace n
    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'daa_projection' AND c.relkind = 'r'
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'model' AND NOT a.attisdropped
    WHERE n.nspname ~ $1";

/// What the name of the schema ends with whose version was live before.
const OLD: &str = "_old";

/// The schema of one version.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) schema: String,
}

#[derive(Debug)]
pub(super) struct ModelSchemas {
    /// That of the live version; its alphabet needs no quotes.
    base: String,
    lock: i64,
}

impl ModelSchemas {
    pub(super) fn new(base: &str, lock: i64) -> Self {
        Self { base: base.to_owned(), lock }
    }

    /// Nobody renames the schemas as long as the transaction lasts.
    pub(super) async fn share(&self, transaction: &Transaction<'_>) -> Result<(), ModelError> {
        let sql = "SELECT pg_advisory_xact_lock_shared($1)";
        transaction.execute(sql, &[&self.lock]).await.map(|_| ()).map_err(engine_error)
    }

    /// Nobody else does anything with them as long as the transaction lasts.
    pub(super) async fn own(&self, transaction: &Transaction<'_>) -> Result<(), ModelError> {
        let sql = "SELECT pg_advisory_xact_lock($1)";
        transaction.execute(sql, &[&self.lock]).await.map(|_| ()).map_err(engine_error)
    }

    /// Which versions there are.
    pub(super) async fn state(&self, transaction: &Transaction<'_>) -> Result<ModelState, ModelError> {
        Ok(self.state_in(&self.slots(transaction).await?))
    }

    fn state_in(&self, slots: &[(Slot, SlotState)]) -> ModelState {
        let mut state = ModelState::default();
        for (slot, found) in slots {
            let of = if slot.schema == self.base { &mut state.live } else { &mut state.building };
            *of = Some(*found);
        }
        state
    }

    /// Where a version is.
    ///
    /// # Errors
    /// [`ModelError::Superseded`], as [`ModelState::place`].
    pub(super) async fn slot(
        &self,
        transaction: &Transaction<'_>,
        version: ModelVersion,
    ) -> Result<Option<Slot>, ModelError> {
        let slots = self.slots(transaction).await?;
        self.state_in(&slots).place(version)?;
        Ok(slots.into_iter().find(|(_, found)| found.version == version).map(|(slot, _)| slot))
    }

    async fn slots(&self, transaction: &Transaction<'_>) -> Result<Vec<(Slot, SlotState)>, ModelError> {
        let mut slots = Vec::new();
        for (schema, ours) in self.schemas(transaction, "(_v[0-9]+)?").await? {
            if !ours && schema == self.base {
                return Err(self.foreign(&schema));
            }
            if !ours {
                // A read model may be called as a version of this one would be.
                continue;
            }
            let select = format!("SELECT version, position FROM {schema}.daa_projection");
            let row = transaction.query_one(&select, &[]).await.map_err(engine_error)?;
            let version: i64 = row.try_get(0).map_err(engine_error)?;
            let position: i64 = row.try_get(1).map_err(engine_error)?;
            let version = u32::try_from(version)
                .map_err(|_| ModelError::Corrupt { detail: format!("{schema} has version {version}") })?;
            let state = SlotState::new(ModelVersion::new(version), Position::new(position.cast_unsigned()));
            slots.push((Slot { schema }, state));
        }
        Ok(slots)
    }

    /// The schemas whose name is ours and such a suffix, and whether they are of this model.
    async fn schemas(
        &self,
        transaction: &Transaction<'_>,
        suffix: &str,
    ) -> Result<Vec<(String, bool)>, ModelError> {
        let (pattern, mut schemas) = (format!("^{}{suffix}$", self.base), Vec::new());
        for row in transaction.query(SCHEMAS, &[&pattern]).await.map_err(engine_error)? {
            let schema: String = row.try_get(0).map_err(engine_error)?;
            let mut ours: bool = row.try_get(1).map_err(engine_error)?;
            if ours {
                let select = format!("SELECT count(*) = 1 FROM {schema}.daa_projection WHERE model = $1");
                let row = transaction.query_one(&select, &[&self.base]).await.map_err(engine_error)?;
                ours = row.try_get(0).map_err(engine_error)?;
            }
            schemas.push((schema, ours));
        }
        Ok(schemas)
    }

    fn foreign(&self, schema: &str) -> ModelError {
        ModelError::Corrupt { detail: format!("schema {schema} is not of the read model {}", self.base) }
    }

    /// Makes the schema of a version that is to be built.
    pub(super) async fn create(
        &self,
        transaction: &Transaction<'_>,
        version: ModelVersion,
    ) -> Result<Slot, ModelError> {
        let (schema, number, base) = (self.building(version), version.get(), &self.base);
        let sql = format!(
            "CREATE SCHEMA {schema};
            CREATE TABLE {schema}.daa_projection (
                model text NOT NULL, version bigint NOT NULL, position bigint NOT NULL
            );
            INSERT INTO {schema}.daa_projection VALUES ('{base}', {number}, 0);
            CREATE TABLE {schema}.daa_skipped (position bigint PRIMARY KEY, reason text NOT NULL)"
        );
        transaction.batch_execute(&sql).await.map_err(|error| match error.code() {
            Some(&SqlState::DUPLICATE_SCHEMA) => self.foreign(&schema),
            _ => engine_error(error),
        })?;
        Ok(Slot { schema })
    }

    pub(super) async fn drop_building(
        &self,
        transaction: &Transaction<'_>,
        version: ModelVersion,
    ) -> Result<(), ModelError> {
        let sql = format!("DROP SCHEMA {} CASCADE", self.building(version));
        transaction.batch_execute(&sql).await.map_err(engine_error)
    }

    /// Makes the version that was built the live one. Names change, tables do not: nobody who reads is waited for.
    pub(super) async fn swap(
        &self,
        transaction: &Transaction<'_>,
        version: ModelVersion,
        replaces: bool,
    ) -> Result<(), ModelError> {
        let (base, old, new) = (&self.base, self.old(), self.building(version));
        let mut sql = String::new();
        if replaces {
            sql = format!("ALTER SCHEMA {base} RENAME TO {old};");
        }
        sql += &format!("ALTER SCHEMA {new} RENAME TO {base}");
        transaction.batch_execute(&sql).await.map_err(engine_error)
    }

    /// Removes the version that was live before, if it is still there.
    ///
    /// # Errors
    /// [`ModelError::Corrupt`] where the schema of that name is of somebody else: it is left alone.
    pub(super) async fn drop_old(&self, client: &mut Client) -> Result<(), ModelError> {
        let transaction = client.transaction().await.map_err(engine_error)?;
        // Nobody else makes one of that name while it is there: what is looked at here is what is dropped.
        for (schema, ours) in self.schemas(&transaction, OLD).await? {
            if !ours {
                return Err(self.foreign(&schema));
            }
        }
        let old = self.old();
        let sql = format!("SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; DROP SCHEMA IF EXISTS {old} CASCADE");
        transaction.batch_execute(&sql).await.map_err(engine_error)?;
        transaction.commit().await.map_err(engine_error)
    }

    fn building(&self, version: ModelVersion) -> String {
        format!("{}_v{version}", self.base)
    }

    fn old(&self) -> String {
        format!("{}{OLD}", self.base)
    }
}
