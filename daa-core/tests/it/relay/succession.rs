//! One relay is active, others stand by.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use daa_core::clock::Clock as _;
use daa_core::event::*;
use daa_core::relay::*;
use tokio::time::sleep;

use super::world::*;

fn memory() -> Arc<dyn EventStore> {
    Arc::new(MemoryEventStore::new())
}

#[tokio::test(start_paused = true)]
async fn the_second_stands_by_and_takes_over_when_the_first_releases() {
    let (store, clock) = (memory(), clock());
    let (first_bus, second_bus) = (ScriptedBus::takes_all(), ScriptedBus::takes_all());
    orders(&*store).await;
    let first = Running::start(relay("a", &store, &first_bus, &clock));
    first.caught_up().await;
    let second = Running::start(relay("b", &store, &second_bus, &clock));
    append(&*store, clock.now(), "order/5", "more").await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!((first_bus.taken().len(), second_bus.taken().len()), (31, 0));
    assert_eq!(second.monitor.state(), RelayState::StandingBy);
    assert_eq!(second.monitor.status().await.unwrap().lag.events(), 0, "it sees what the first has done");
    first.stop().await;
    second.caught_up().await;
    append(&*store, clock.now(), "order/5", "and more").await;
    second.caught_up().await;
    assert_eq!(second_bus.payloads(), ["and more"]);
}

#[tokio::test(start_paused = true)]
async fn takes_over_from_one_that_was_killed_once_there_is_work() {
    let (store, clock) = (memory(), clock());
    let bus = ScriptedBus::takes_all();
    orders(&*store).await;
    let first = Running::start(relay("a", &store, &bus, &clock));
    first.caught_up().await;
    first.kill().await;
    let second = Running::start(relay("b", &store, &bus, &clock));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(second.monitor.state(), RelayState::StandingBy, "there is nothing to do");
    let waited = clock.now();
    append(&*store, clock.now(), "order/5", "more").await;
    second.caught_up().await;
    let waited = clock.now().since(waited);
    assert!((5..8).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(bus.taken().len(), 31);
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_its_bus_is_not_replaced() {
    let (store, clock) = (memory(), clock());
    let (down, up) = (ScriptedBus::new([], Does::Refuse), ScriptedBus::takes_all());
    orders(&*store).await;
    let first = Running::start(relay("a", &store, &down, &clock));
    sleep(Duration::from_millis(10)).await;
    let second = Running::start(relay("b", &store, &up, &clock));
    sleep(Duration::from_secs(600)).await;
    assert_eq!(second.monitor.metrics().claimed, 0);
    assert!(up.taken().is_empty());
    let waited = stream(&*store, "relay/shop").await.len();
    assert!((300..400).contains(&waited), "{waited} records in ten minutes");
    down.now_does(Does::Take);
    first.caught_up().await;
    assert_eq!(down.taken().len(), 30);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_replaced_cannot_record_any_more_and_stands_by() {
    let (clock, bus) = (clock(), ScriptedBus::takes_all());
    let memory = memory();
    let expected = orders(&*memory).await;
    // As a process that was stopped while it published, and goes on long after.
    let hanging = ScriptedBus::new([Does::Hang], Does::Take);
    let slow: Arc<dyn EventStore> = Arc::new(Stopped::new(memory.clone()));
    let first = Running::start(relay("a", &slow, &hanging, &clock));
    until("it publishes", async || hanging.asked.load(Ordering::Acquire) > 0).await;
    let second = Running::start(relay("b", &memory, &bus, &clock));
    second.caught_up().await;
    assert_eq!(bus.by_key(), expected);
    // Its next sign of life is refused.
    until("it knows", async || first.monitor.metrics().replaced > 0).await;
    assert_eq!(first.monitor.state(), RelayState::StandingBy);
    append(&*memory, clock.now(), "order/5", "more").await;
    second.caught_up().await;
    assert_eq!((first.monitor.metrics().claimed, second.monitor.metrics().replaced), (1, 0));
    assert_eq!(bus.taken().len(), 31);
}

/// A store whose second append, the first sign of life, is on its way for a minute.
#[derive(Debug)]
struct Stopped {
    inner: Arc<dyn EventStore>,
    appends: std::sync::atomic::AtomicU64,
}

impl Stopped {
    fn new(inner: Arc<dyn EventStore>) -> Self {
        Self { inner, appends: Default::default() }
    }
}

#[async_trait::async_trait]
impl EventStore for Stopped {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        if self.appends.fetch_add(1, Ordering::AcqRel) == 1 {
            sleep(Duration::from_secs(60)).await;
        }
        self.inner.append(batch).await
    }

    async fn read_stream(
        &self,
        stream: &daa_core::id::StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_stream(stream, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.inner.subscribe(after).await
    }

    async fn erase(&self, stream: &daa_core::id::StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.inner.erase(stream, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
