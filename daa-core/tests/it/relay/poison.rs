//! Events that no bus takes.

use std::error::Error as _;
use std::sync::Arc;

use daa_core::bus::{MAX_PAYLOAD, Message};
use daa_core::clock::Clock as _;
use daa_core::event::*;
use daa_core::relay::*;

use super::world::*;

/// Between two others, one that is too large for a bus.
async fn too_large() -> (Arc<dyn EventStore>, Position) {
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    append(&*store, clock().now(), "order/1", "before").await;
    let large = append(&*store, clock().now(), "order/1", &"x".repeat(MAX_PAYLOAD + 1)).await;
    append(&*store, clock().now(), "order/1", "after").await;
    (store, large)
}

#[tokio::test(start_paused = true)]
async fn stops_before_it_and_names_it() {
    let (bus, clock, (store, large)) = (ScriptedBus::takes_all(), clock(), too_large().await);
    for _ in 0..2 {
        let running = Running::start(relay("a", &store, &bus, &clock));
        let error = running.task.await.unwrap().unwrap_err();
        let RelayError::Poison { position, ref stream, .. } = error else { panic!("{error:?}") };
        assert_eq!((position, stream.as_str()), (large, "order/1"));
        assert!(error.source().unwrap().to_string().contains("983041 bytes"), "{:?}", error.source());
        assert_eq!(bus.payloads(), ["before"], "what is before it is told once, what is after it is not");
    }
}

#[tokio::test(start_paused = true)]
async fn skips_it_and_records_which_and_why() {
    let (bus, clock, (store, large)) = (ScriptedBus::takes_all(), clock(), too_large().await);
    let options = RelayOptions::default().with_on_poison(OnPoison::Skip);
    let running = Running::start(relay_with("a", &store, &bus, &clock, options));
    running.caught_up().await;
    assert_eq!(bus.payloads(), ["before", "after"]);
    assert_eq!(running.stop().await.metrics().skipped, 1);
    let [skipped] = &stream(&*store, "relay.skipped/shop").await[..] else { panic!("not one") };
    let record: serde_json::Value = skipped.json().unwrap();
    assert_eq!(record["position"], large.get());
    assert_eq!(record["stream"], "order/1");
    assert!(record["reason"].as_str().unwrap().contains("983041 bytes"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn what_the_mapping_cannot_map_is_poison_too() {
    #[derive(Debug)]
    struct Picky;
    impl Mapping for Picky {
        fn map(&self, event: &RecordedEvent) -> Result<Option<Message>, MappingError> {
            if event.payload == "1-3" {
                return Err(MappingError::content("three is too many"));
            }
            Ok(Some(Message::new("t".parse()?, event.payload.clone())))
        }
    }
    let (bus, clock) = (ScriptedBus::takes_all(), clock());
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    orders(&*store).await;
    let options = RelayOptions::default().with_on_poison(OnPoison::Skip);
    let relay = relay_with("a", &store, &bus, &clock, options).with_mapping(Picky);
    let running = Running::start(relay);
    running.caught_up().await;
    assert_eq!(bus.taken().len(), 29);
    let record: serde_json::Value = stream(&*store, "relay.skipped/shop").await[0].json().unwrap();
    assert_eq!(record["reason"], "its content cannot be mapped: three is too many");
}
