//! [`MemoryEventStore`] keeps the contract.

use std::sync::Arc;

use daa_core::event::testing::{ModelStep, ModelWrite, behaves_as_the_model};
use daa_core::event::{EventStore, MemoryEventStore, Position};
use proptest::prelude::*;

fn fresh() -> ((), Arc<dyn EventStore>) {
    ((), Arc::new(MemoryEventStore::new()))
}

daa_core::event_store_conformance!(fresh());

#[tokio::test]
async fn dropping_the_last_clone_ends_subscriptions() {
    let store = MemoryEventStore::new();
    let mut subscription = store.subscribe(Position::START).await.unwrap();
    drop(store);
    assert!(subscription.next().await.unwrap().is_none());
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
    #[test]
    fn behaves_as_the_model_for_any_steps(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(behaves_as_the_model(fresh().1, steps));
    }
}
