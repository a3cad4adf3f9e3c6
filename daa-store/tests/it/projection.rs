//! Read models on SQLite, and processes that are killed while they keep them.

pub(crate) mod killed;
mod process;
mod sqlite;

use daa_core::event::RecordedEvent;
use daa_core::id::ProjectionName;
use daa_core::projection::testing::{amount, refusal};
use daa_core::projection::{ModelVersion, Projection, Refusal};
use daa_store::sqlite::SqliteProjection;
use daa_store::sqlite::rusqlite::Transaction;

/// The projection of the conformance suite: a row for each stream.
#[derive(Clone, Debug)]
pub(crate) struct Tallies {
    name: ProjectionName,
    pub(crate) version: ModelVersion,
}

impl Tallies {
    pub(crate) fn new(version: ModelVersion) -> Self {
        Self { name: "tallies".parse().unwrap(), version }
    }
}

impl Projection for Tallies {
    fn name(&self) -> &ProjectionName {
        &self.name
    }

    fn version(&self) -> ModelVersion {
        self.version
    }
}

impl SqliteProjection for Tallies {
    fn create(&self, transaction: &Transaction<'_>) -> Result<(), Refusal> {
        let sql = "CREATE TABLE tallies (stream TEXT PRIMARY KEY, tally INTEGER NOT NULL);
            CREATE INDEX by_tally ON tallies (tally)";
        Ok(transaction.execute_batch(sql)?)
    }

    fn apply(&self, transaction: &Transaction<'_>, event: &RecordedEvent) -> Result<(), Refusal> {
        let sql = "INSERT INTO tallies VALUES (?1, ?2)
            ON CONFLICT (stream) DO UPDATE SET tally = tally + excluded.tally";
        transaction.prepare_cached(sql)?.execute((event.stream.as_str(), amount(self.version)))?;
        refusal(event)
    }
}
