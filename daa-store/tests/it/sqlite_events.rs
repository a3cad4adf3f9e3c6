//! [`SqliteEventStore`] keeps the contract.

use std::sync::Arc;

use daa_core::event::EventStore;
use daa_core::event::testing::{ModelStep, ModelWrite, behaves_as_the_model};
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
use proptest::prelude::*;
use tempfile::TempDir;

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

fn steps() -> impl Strategy<Value = Vec<ModelStep>> {
    let off = prop_oneof![4 => Just(Some(0)), 4 => Just(None), 1 => (-2_i8..=2).prop_map(Some)];
    let write =
        (0_u8..4, off, 0_u8..4).prop_map(|(stream, off, events)| ModelWrite::new(stream, off, events));
    let append = prop::collection::vec(write, 1..4).prop_map(ModelStep::Append);
    let erase = (0_u8..5, 0_u8..12).prop_map(|(stream, up_to)| ModelStep::Erase { stream, up_to });
    prop::collection::vec(prop_oneof![4 => append, 1 => erase], 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn behaves_as_the_model_for_any_steps(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (_dir, store) = fresh();
        runtime.block_on(behaves_as_the_model(store, steps));
    }
}
