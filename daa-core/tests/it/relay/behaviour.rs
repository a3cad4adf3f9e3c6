//! What a relay tells, and what it shows of itself.

use std::sync::Arc;
use std::time::Duration;

use daa_core::bus::*;
use daa_core::clock::{Clock as _, SystemClock};
use daa_core::event::*;
use daa_core::fault::{Reaction, Retry};
use daa_core::orchestrator::{Service, ServiceError};
use daa_core::relay::*;
use daa_core::shutdown::ShutdownTrigger;

use super::world::*;

fn memory() -> Arc<dyn EventStore> {
    Arc::new(MemoryEventStore::new())
}

#[tokio::test(start_paused = true)]
async fn tells_every_event_in_the_order_of_its_stream() {
    let (store, bus, clock) = (memory(), ScriptedBus::takes_all(), clock());
    let expected = orders(&*store).await;
    let running = Running::start(relay("a", &store, &bus, &clock));
    running.caught_up().await;
    assert_eq!(bus.by_key(), expected);
    assert_eq!(bus.taken().len(), 30);
    let message = bus.taken().into_iter().find(|message| payload(message) == "2-1").unwrap();
    assert_eq!(message.topic().as_str(), "event.order.order.placed.v1");
    assert_eq!(message.id().unwrap().as_str(), "shop:6");
    let relayed = Relayed::of(&message).unwrap();
    assert_eq!((relayed.source.as_str(), relayed.position.get()), ("shop", 6));
    assert_eq!((relayed.stream.as_str(), relayed.version.get()), ("order/2", 2));
    assert_eq!((relayed.kind.as_str(), relayed.at.as_millis()), ("order.placed.v1", 1_000_000));
    assert_eq!(running.stop().await.metrics().published, 30);
}

#[tokio::test(start_paused = true)]
async fn goes_on_where_it_stopped_and_writes_nothing_while_there_is_nothing_to_tell() {
    let (store, bus, clock) = (memory(), ScriptedBus::takes_all(), clock());
    orders(&*store).await;
    let running = Running::start(relay("a", &store, &bus, &clock));
    running.caught_up().await;
    let head = store.head().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(store.head().await.unwrap(), head, "it wrote although nothing happened");
    running.stop().await;
    append(&*store, clock.now(), "order/7", "later").await;
    let running = Running::start(relay("b", &store, &bus, &clock));
    running.caught_up().await;
    assert_eq!(bus.taken().len(), 31);
    assert_eq!(bus.payloads().last().unwrap(), "later");
}

#[tokio::test(start_paused = true)]
async fn relays_of_two_names_do_not_tell_of_each_other_for_ever() {
    let (store, bus, clock) = (memory(), ScriptedBus::takes_all(), clock());
    orders(&*store).await;
    let other = Relay::new(
        "other".parse().unwrap(),
        "c".parse().unwrap(),
        store.clone(),
        bus.clone(),
        clock.clone(),
        RelayOptions::default().with_start(Position::new(29)),
    );
    let (one, other) = (Running::start(relay("a", &store, &bus, &clock)), Running::start(other.unwrap()));
    one.caught_up().await;
    other.caught_up().await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(bus.taken().len(), 31);
    assert_eq!(stream(&*store, "relay/other").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn while_the_bus_is_down_the_lag_grows_and_is_seen() {
    let (store, bus, clock) = (memory(), ScriptedBus::new([], Does::Refuse), clock());
    orders(&*store).await;
    let running = Running::start(relay("a", &store, &bus, &clock));
    tokio::time::sleep(Duration::from_secs(600)).await;
    append(&*store, clock.now(), "order/9", "last").await;
    let status = running.monitor.status().await.unwrap();
    let RelayState::Waiting { error } = &status.state else { panic!("{status:?}") };
    assert!(error.contains("it is away"), "{error}");
    assert!(!status.is_ready());
    assert_eq!(status.lag.position, Position::START);
    assert!(status.lag.events() >= 31);
    assert!((600..602).contains(&status.waited.as_secs()), "{:?}", status.waited);
    let text = status.to_string();
    assert!(text.contains(&format!("\ndaa_relay_lag_events {}\n", status.lag.events())), "{text}");
    // With at most five seconds between two tries of each of three keys, and half of it on average.
    let tries = status.metrics.retried;
    assert!((360..1_200).contains(&tries), "{tries} tries in ten minutes");
    bus.now_does(Does::Take);
    running.caught_up().await;
    assert!(running.monitor.status().await.unwrap().is_ready());
    assert_eq!(bus.taken().len(), 31);
}

#[tokio::test(start_paused = true)]
async fn the_next_message_of_a_key_waits_for_the_one_before_it() {
    let script = [Does::Refuse, Does::TakeSilently, Does::Refuse, Does::TakeSilently].repeat(20);
    let (store, bus, clock) = (memory(), ScriptedBus::new(script, Does::Take), clock());
    let expected = orders(&*store).await;
    let running = Running::start(relay("a", &store, &bus, &clock));
    running.caught_up().await;
    assert_eq!(bus.by_key(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_mapping_chooses_topic_key_and_what_is_left_out() {
    #[derive(Debug)]
    struct Even;
    impl Mapping for Even {
        fn map(&self, event: &RecordedEvent) -> Result<Option<Message>, MappingError> {
            let even = event.payload.last().is_some_and(|digit| digit % 2 == 0);
            let message = Message::new("even".parse()?, event.payload.clone());
            Ok(even.then(|| message.with_key("all".parse().unwrap())))
        }
    }
    let (store, bus, clock) = (memory(), ScriptedBus::takes_all(), clock());
    orders(&*store).await;
    let running = Running::start(relay("a", &store, &bus, &clock).with_mapping(Even));
    running.caught_up().await;
    let expected = (0..5).flat_map(|n| (0..3).map(move |key| format!("{key}-{}", n * 2)));
    assert_eq!(bus.payloads(), expected.collect::<Vec<_>>());
    assert!(bus.taken().iter().all(|message| message.topic().as_str() == "even"));
    assert_eq!(running.monitor.metrics().left_out, 15);
}

#[tokio::test(start_paused = true)]
async fn what_was_erased_is_passed_over_and_counted() {
    let (store, bus, clock) = (memory(), ScriptedBus::takes_all(), clock());
    orders(&*store).await;
    store.erase(&"order/1".parse().unwrap(), Version::new(4)).await.unwrap();
    let running = Running::start(relay("a", &store, &bus, &clock));
    running.caught_up().await;
    assert_eq!(bus.by_key()["order/1"], ["1-4", "1-5", "1-6", "1-7", "1-8", "1-9"]);
    assert_eq!((bus.taken().len(), running.monitor.metrics().erased), (26, 4));
}

#[tokio::test(start_paused = true)]
async fn the_record_stays_small_and_is_found_again() {
    let (store, bus, clock) = (memory(), ScriptedBus::takes_all(), clock());
    let one_by_one = || RelayOptions::default().with_batch(1);
    for _ in 0..80 {
        orders(&*store).await;
    }
    let running = Running::start(relay_with("a", &store, &bus, &clock, one_by_one()));
    running.caught_up().await;
    running.stop().await;
    let kept = stream(&*store, "relay/shop").await.iter().filter(|event| !event.is_erased()).count();
    assert!(kept <= 1_000, "{kept} records");
    append(&*store, clock.now(), "order/7", "later").await;
    let running = Running::start(relay_with("b", &store, &bus, &clock, one_by_one()));
    running.caught_up().await;
    assert_eq!(bus.taken().len(), 2_401);
}

#[tokio::test]
async fn a_queue_without_room_delays_and_loses_nothing() {
    let (store, clock) = (memory(), Arc::new(SystemClock::new()));
    let expected = orders(&*store).await;
    let bus = Arc::new(InProcessBus::new(clock.clone()));
    let up_to = Duration::from_millis(1);
    let options = SubscribeOptions::new("event.>".parse().unwrap()).with_capacity(1);
    let mut slow = bus.subscribe(options.with_overflow(Overflow::Block { up_to })).await.unwrap();
    let backoff = Backoff::doubling(Duration::from_millis(1), Duration::from_millis(4));
    let options = RelayOptions::default().with_backoff(backoff);
    let relay = Relay::new("shop".parse().unwrap(), "a".parse().unwrap(), store, bus, clock, options);
    let running = Running::start(relay.unwrap());
    // The consumer begins only when publishing has failed.
    until("a publication was tried again", async || running.monitor.metrics().retried > 0).await;
    let mut seen = std::collections::BTreeMap::<String, Vec<String>>::new();
    for _ in 0..30 {
        let delivery = slow.next().await.unwrap().unwrap();
        let key = delivery.message().key().unwrap().to_string();
        seen.entry(key).or_default().push(payload(delivery.message()));
        delivery.ack().await.unwrap();
    }
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn ends_when_bus_or_store_are_closed() {
    let (store, bus, clock) = (memory(), ScriptedBus::new([], Does::Close), clock());
    orders(&*store).await;
    let running = Running::start(relay("a", &store, &bus, &clock));
    let error = running.task.await.unwrap().unwrap_err();
    assert!(matches!(error, RelayError::Bus(BusError::Closed)), "{error:?}");
    assert_eq!((error.retry(), running.monitor.state()), (Retry::Never, RelayState::Ended));
    let running = Running::start(relay("a", &store, &ScriptedBus::takes_all(), &clock));
    running.caught_up().await;
    store.close().await;
    let error = running.task.await.unwrap().unwrap_err();
    assert!(matches!(error, RelayError::Read(ReadError::Closed)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn as_a_service_it_ends_when_asked_to() {
    let (store, bus, clock) = (memory(), ScriptedBus::takes_all(), clock());
    let service = Box::new(relay("a", &store, &bus, &clock));
    assert_eq!(Service::name(&*service).as_str(), "relay shop");
    let (trigger, shutdown) = ShutdownTrigger::new();
    trigger.trigger();
    Service::run(service, shutdown).await.unwrap();
    let closed = ScriptedBus::new([], Does::Close);
    orders(&*store).await;
    let service = Box::new(relay("a", &store, &closed, &clock));
    let (_trigger, shutdown) = ShutdownTrigger::new();
    let error = Service::run(service, shutdown).await.unwrap_err();
    assert!(matches!(error, ServiceError::Fatal { .. }), "{error:?}");
}

#[test]
fn a_name_must_leave_room_for_the_names_of_messages() {
    let make = |length: usize| {
        let name = "r".repeat(length).parse().unwrap();
        let bus = ScriptedBus::takes_all();
        let clock = Arc::new(SystemClock::new());
        Relay::new(name, "a".parse().unwrap(), memory(), bus, clock, RelayOptions::default())
    };
    assert!(make(179).is_ok());
    assert!(matches!(make(180), Err(RelayError::Name { .. })));
}
