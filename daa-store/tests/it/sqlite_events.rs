//! [`SqliteEventStore`] keeps the contract.

use std::sync::Arc;

use daa_core::event::EventStore;
use daa_core::event::testing::behaves_as_the_model;
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::model_steps;

fn fresh() -> (TempDir, Arc<dyn EventStore>) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteEventStore::open(dir.path().join("events.db"), SqliteOptions::default()).unwrap();
    (dir, Arc::new(store))
}

daa_core::event_store_conformance!(fresh());

/// The narrowest store: one place in the queue, one reader.
mod narrow {
    use super::*;

    fn fresh() -> (TempDir, Arc<dyn EventStore>) {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions::default().with_queue(1).with_readers(1);
        let store = SqliteEventStore::open(dir.path().join("events.db"), options).unwrap();
        (dir, Arc::new(store))
    }

    daa_core::event_store_conformance!(fresh());
}

/// With old events in artefacts.
mod archived {
    use daa_core::artifact::MemoryArtifacts;
    use daa_core::clock::SystemClock;
    use daa_core::event::Archived;

    use super::*;

    fn fresh() -> (TempDir, Arc<dyn EventStore>) {
        let (dir, store) = super::fresh();
        let artifacts = Arc::new(MemoryArtifacts::new());
        (dir, Arc::new(Archived::new(store, artifacts, Arc::new(SystemClock::new()))))
    }

    daa_core::event_store_conformance!(fresh());

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_archived_is_read_back_by_the_next_program() {
        let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = dir.path().join("events.db");
        let open = async || Arc::new(SqliteEventStore::open(&path, SqliteOptions::default()).unwrap());
        crate::archived::survives_a_restart(folder.path(), open).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn behaves_as_the_model_for_any_steps(steps in model_steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (_dir, store) = fresh();
        runtime.block_on(behaves_as_the_model(store, steps));
    }
}
