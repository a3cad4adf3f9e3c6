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
