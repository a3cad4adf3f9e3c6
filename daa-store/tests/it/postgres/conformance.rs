//! It keeps the contract.

use std::sync::Arc;

use daa_core::event::EventStore;
use daa_core::event::testing::behaves_as_the_model;
use proptest::prelude::*;

use super::support::Schema;

async fn fresh() -> (Schema, Arc<dyn EventStore>) {
    let schema = Schema::new();
    let store = schema.open().await;
    (schema, Arc::new(store))
}

daa_core::event_store_conformance!(fresh().await);

/// The narrowest store: one place in the queue, one connection, one partition.
mod narrow {
    use daa_store::postgres::PostgresEventStore;

    use super::*;

    async fn fresh() -> (Schema, Arc<dyn EventStore>) {
        let schema = Schema::new();
        let options = schema.options().with_queue(1).with_connections(0, 1).with_partitions(1);
        let store = PostgresEventStore::open(options).await.unwrap();
        (schema, Arc::new(store))
    }

    daa_core::event_store_conformance!(fresh().await);
}

/// With old events in artefacts.
mod archived {
    use daa_core::artifact::MemoryArtifacts;
    use daa_core::clock::SystemClock;
    use daa_core::event::Archived;

    use super::*;

    async fn fresh() -> (Schema, Arc<dyn EventStore>) {
        let (schema, store) = super::fresh().await;
        let artifacts = Arc::new(MemoryArtifacts::new());
        (schema, Arc::new(Archived::new(store, artifacts, Arc::new(SystemClock::new()))))
    }

    daa_core::event_store_conformance!(fresh().await);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_archived_is_read_back_by_the_next_program() {
        let schema = Schema::new();
        let folder = tempfile::tempdir().unwrap();
        crate::archived::survives_a_restart(folder.path(), async || Arc::new(schema.open().await)).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn behaves_as_the_model_for_any_steps(steps in crate::support::model_steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_schema, store) = fresh().await;
            behaves_as_the_model(store, steps).await;
        });
    }
}
