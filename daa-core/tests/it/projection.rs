//! Projectors over models in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::clock::{Clock as _, Timestamp, VirtualClock};
use daa_core::event::*;
use daa_core::fault::{Reaction, Retry};
use daa_core::id::{ProjectionName, StreamId};
use daa_core::orchestrator::{Service, ServiceError};
use daa_core::projection::testing::{POISON, Tally, amount, refusal};
use daa_core::projection::*;
use daa_core::shutdown::ShutdownTrigger;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::relay::world::{append, clock, orders, until};

/// The number of events of each stream.
#[derive(Clone, Debug)]
struct Count {
    name: ProjectionName,
    version: u32,
}

impl Count {
    fn new(version: u32) -> Self {
        Self { name: "count".parse().unwrap(), version }
    }
}

impl Projection for Count {
    fn name(&self) -> &ProjectionName {
        &self.name
    }

    fn version(&self) -> ModelVersion {
        ModelVersion::new(self.version)
    }
}

impl Fold for Count {
    type Model = BTreeMap<String, i64>;

    fn apply(&self, counts: &mut Self::Model, event: &RecordedEvent) -> Result<(), Refusal> {
        *counts.entry(event.stream.to_string()).or_default() += amount(self.version());
        refusal(event)
    }
}

mod conformance {
    use super::*;

    #[derive(Debug)]
    struct InMemory(MemoryReadModel<Count>);

    #[async_trait]
    impl Tally for InMemory {
        async fn open(&self, version: ModelVersion) -> Arc<dyn ReadModel> {
            Arc::new(self.0.with_projection(Count::new(version.get())))
        }

        async fn rows(&self) -> Option<BTreeMap<String, i64>> {
            self.0.live().map(|live| BTreeMap::clone(&live.model))
        }
    }

    fn fresh() -> ((), Arc<dyn Tally>) {
        ((), Arc::new(InMemory(MemoryReadModel::new(Count::new(1)))))
    }

    daa_core::read_model_conformance!(fresh());
}

struct Running {
    monitor: ProjectorMonitor,
    trigger: ShutdownTrigger,
    task: JoinHandle<Result<(), ProjectorError>>,
}

fn start(
    model: Arc<dyn ReadModel>,
    store: &Arc<dyn EventStore>,
    clock: &Arc<VirtualClock>,
    options: ProjectorOptions,
) -> Running {
    let projector = Projector::new(model, store.clone(), clock.clone(), options);
    let (trigger, shutdown) = ShutdownTrigger::new();
    Running { monitor: projector.monitor(), trigger, task: tokio::spawn(projector.run(shutdown)) }
}

impl Running {
    async fn reached(&mut self, position: Position) {
        let reached = tokio::time::timeout(Duration::from_secs(120), self.monitor.reached(position)).await;
        assert!(reached.is_ok(), "waited in vain for {position}: {:?}", self.monitor.state());
    }
}

fn memory() -> Arc<dyn EventStore> {
    Arc::new(MemoryEventStore::new())
}

fn options() -> ProjectorOptions {
    ProjectorOptions::default().with_batch(8)
}

fn tens() -> BTreeMap<String, i64> {
    (0..3).map(|stream| (format!("order/{stream}"), 10)).collect()
}

#[tokio::test(start_paused = true)]
async fn stops_before_an_event_that_the_projection_refuses_and_names_it() {
    let (store, clock, model) = (memory(), clock(), MemoryReadModel::new(Count::new(1)));
    orders(&*store).await;
    let poison = append(&*store, clock.now(), "order/0", POISON).await;
    append(&*store, clock.now(), "order/0", "after").await;
    let running = start(Arc::new(model.clone()), &store, &clock, options());
    let error = running.task.await.unwrap().unwrap_err();
    let ProjectorError::Model(ModelError::Poison { position, .. }) = &error else { panic!("{error:?}") };
    assert_eq!((*position, error.retry()), (poison, Retry::Never));
    let building = model.state().await.unwrap().building.unwrap();
    assert_eq!(building.position, Position::new(30), "all before it is in the model");
    let options = options().with_on_poison(OnPoison::Skip);
    let mut running = start(Arc::new(model.clone()), &store, &clock, options);
    running.reached(Position::new(32)).await;
    assert_eq!(model.live().unwrap().model["order/0"], 11);
    let skipped = model.skipped(9).await.unwrap();
    assert_eq!(skipped, [SkippedEvent::new(poison, "it is poison".to_owned())]);
    assert_eq!(running.monitor.metrics().skipped, 1);
}

#[tokio::test(start_paused = true)]
async fn erased_events_are_passed_over_and_counted_or_stop_it() {
    let (store, clock) = (memory(), clock());
    orders(&*store).await;
    store.erase(&"order/1".parse().unwrap(), Version::new(4)).await.unwrap();
    let model = MemoryReadModel::new(Count::new(1));
    let mut running = start(Arc::new(model.clone()), &store, &clock, options());
    running.reached(Position::new(30)).await;
    assert_eq!((model.live().unwrap().model["order/1"], running.monitor.metrics().erased), (6, 4));
    let strict = MemoryReadModel::new(Count::new(1));
    let stopping = options().with_on_erased(OnErased::Stop);
    let running = start(Arc::new(strict.clone()), &store, &clock, stopping.clone());
    let error = running.task.await.unwrap().unwrap_err();
    let ProjectorError::Erased { position, stream } = &error else { panic!("{error:?}") };
    assert_eq!((position.get(), stream.as_str(), error.retry()), (2, "order/1", Retry::Never));
    assert_eq!(strict.state().await.unwrap().building.unwrap().position, Position::new(1));
    // What it does not want it does not miss.
    store.erase(&"order/0".parse().unwrap(), Version::new(10)).await.unwrap();
    #[derive(Clone, Debug)]
    struct Last(Count);
    impl Projection for Last {
        fn name(&self) -> &ProjectionName {
            self.0.name()
        }
        fn version(&self) -> ModelVersion {
            self.0.version()
        }
        fn wants(&self, stream: &StreamId) -> bool {
            stream.as_str() == "order/2"
        }
    }
    impl Fold for Last {
        type Model = BTreeMap<String, i64>;
        fn apply(&self, counts: &mut Self::Model, event: &RecordedEvent) -> Result<(), Refusal> {
            self.0.apply(counts, event)
        }
    }
    let model = MemoryReadModel::new(Last(Count::new(1)));
    let mut running = start(Arc::new(model.clone()), &store, &clock, stopping);
    running.reached(Position::new(30)).await;
    assert_eq!(*model.live().unwrap().model, BTreeMap::from([("order/2".to_owned(), 10)]));
}

#[tokio::test(start_paused = true)]
async fn records_of_relays_inboxes_and_archives_are_not_given_to_it() {
    let (store, clock, model) = (memory(), clock(), MemoryReadModel::new(Count::new(1)));
    for stream in ["relay/a", "relay.skipped/a", "inbox/a/b", "archive/events", "relayed", "order/1"] {
        append(&*store, clock.now(), stream, "x").await;
    }
    let mut running = start(Arc::new(model.clone()), &store, &clock, options());
    running.reached(Position::new(6)).await;
    let expected = BTreeMap::from([("relayed".to_owned(), 1), ("order/1".to_owned(), 1)]);
    assert_eq!(*model.live().unwrap().model, expected);
}

#[tokio::test(start_paused = true)]
async fn all_between_poison_and_what_was_erased_is_in_the_model_and_each_erased_event_counts_once() {
    let (store, clock, model) = (memory(), clock(), MemoryReadModel::new(Count::new(1)));
    for (stream, payload) in [("gone/1", "x"), ("order/0", POISON), ("order/0", "good"), ("gone/2", "x")] {
        append(&*store, clock.now(), stream, payload).await;
    }
    store.erase(&"gone/2".parse().unwrap(), Version::new(1)).await.unwrap();
    let stopping = options().with_on_poison(OnPoison::Skip).with_on_erased(OnErased::Stop);
    let error = start(Arc::new(model.clone()), &store, &clock, stopping).task.await.unwrap().unwrap_err();
    assert!(matches!(&error, ProjectorError::Erased { position, .. } if position.get() == 4), "{error:?}");
    let live = model.live().unwrap();
    assert_eq!(live.position, Position::new(3), "all before what was erased is in the model");
    assert_eq!(live.model["order/0"], 1);
    // One before the poison, and one behind it that is read twice.
    store.erase(&"gone/1".parse().unwrap(), Version::new(1)).await.unwrap();
    let model = MemoryReadModel::new(Count::new(1));
    let passing = options().with_on_poison(OnPoison::Skip);
    let mut running = start(Arc::new(model.clone()), &store, &clock, passing);
    running.reached(Position::new(4)).await;
    assert_eq!(running.monitor.metrics().erased, 2);
    assert_eq!(*model.live().unwrap().model, BTreeMap::from([("order/0".to_owned(), 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_holds_more_than_the_store_ends_it() {
    let (store, clock, model) = (memory(), clock(), MemoryReadModel::new(Count::new(1)));
    orders(&*store).await;
    let mut running = start(Arc::new(model.clone()), &store, &clock, options());
    running.reached(Position::new(30)).await;
    running.trigger.trigger();
    running.task.await.unwrap().unwrap();
    // At the end of the store it goes on.
    let mut running = start(Arc::new(model.clone()), &store, &clock, options());
    running.reached(Position::new(30)).await;
    running.trigger.trigger();
    running.task.await.unwrap().unwrap();
    for events in [0, 29] {
        let restored = memory();
        for _ in 0..events {
            append(&*restored, clock.now(), "order/0", "anew").await;
        }
        let running = start(Arc::new(model.clone()), &restored, &clock, options());
        let error = running.task.await.unwrap().unwrap_err();
        let ProjectorError::Ahead { position, head } = &error else { panic!("{error:?}") };
        assert_eq!((position.get(), head.get(), error.retry()), (30, events, Retry::Never));
        assert_eq!(running.monitor.state(), ProjectorState::Ended);
    }
}

/// A model whose steps fail as it is told: before they are taken, or after, when nobody learns of it.
#[derive(Debug)]
struct Failing {
    inner: MemoryReadModel<Count>,
    fails: AtomicU32,
    at: u32,
    after: bool,
    for_so_long: u32,
    refreshed: AtomicU32,
}

impl Failing {
    fn new(inner: MemoryReadModel<Count>, at: u32, after: bool, for_so_long: u32) -> Arc<Self> {
        let (fails, refreshed) = (AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(Self { inner, fails, at, after, for_so_long, refreshed })
    }
}

#[async_trait]
impl ReadModel for Failing {
    fn projection(&self) -> &dyn Projection {
        self.inner.projection()
    }

    async fn state(&self) -> Result<ModelState, ModelError> {
        self.inner.state().await
    }

    async fn begin(&self) -> Result<(), ModelError> {
        self.inner.begin().await
    }

    async fn apply(&self, step: Step) -> Result<(), ModelError> {
        let number = self.fails.fetch_add(1, Ordering::AcqRel);
        let fails = (self.at..self.at + self.for_so_long).contains(&number);
        if !fails || self.after {
            self.inner.apply(step).await?;
        }
        if fails { Err(ModelError::unavailable("it is away")) } else { Ok(()) }
    }

    async fn swap(&self) -> Result<(), ModelError> {
        self.inner.swap().await
    }

    async fn refresh(&self, now: Timestamp) -> Result<Option<Timestamp>, ModelError> {
        self.refreshed.fetch_add(1, Ordering::AcqRel);
        Ok(Some(now + Duration::from_secs(10)))
    }

    async fn skipped(&self, limit: usize) -> Result<Vec<SkippedEvent>, ModelError> {
        self.inner.skipped(limit).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_not_confirmed_counts_once() {
    for after in [false, true] {
        for at in 0..4 {
            let (store, clock, inner) = (memory(), clock(), MemoryReadModel::new(Count::new(1)));
            orders(&*store).await;
            let model = Failing::new(inner.clone(), at, after, 1);
            let mut running = start(model, &store, &clock, options());
            running.reached(Position::new(30)).await;
            assert_eq!(*inner.live().unwrap().model, tens(), "failed at {at}, after: {after}");
            assert_eq!(running.monitor.metrics().retried, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_model_is_away_the_lag_grows_and_is_seen() {
    let (store, clock, inner) = (memory(), clock(), MemoryReadModel::new(Count::new(1)));
    orders(&*store).await;
    let mut running = start(Failing::new(inner.clone(), 0, false, 400), &store, &clock, options());
    sleep(Duration::from_secs(300)).await;
    let status = running.monitor.status().await.unwrap();
    let ProjectorState::Resting { error } = &status.state else { panic!("{status:?}") };
    assert!(error.contains("it is away") && !status.is_ready(), "{error}");
    assert_eq!((status.lag.events(), status.waited.as_secs()), (30, 300));
    assert!(status.to_string().contains("\ndaa_projector_lag_seconds 300"), "{status}");
    assert!((100..400).contains(&status.metrics.retried), "{:?}", status.metrics);
    tokio::time::timeout(Duration::from_secs(3_600), running.monitor.reached(Position::new(30)))
        .await
        .unwrap();
    let status = running.monitor.status().await.unwrap();
    assert!(status.is_ready());
    assert_eq!((status.lag.events(), status.waited), (0, Duration::ZERO));
    assert_eq!(*inner.live().unwrap().model, tens());
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_done_also_while_nothing_happens() {
    let (store, clock, inner) = (memory(), clock(), MemoryReadModel::new(Count::new(1)));
    let model = Failing::new(inner, 0, false, 0);
    let running = start(model.clone(), &store, &clock, options());
    sleep(Duration::from_secs(95)).await;
    assert_eq!(model.refreshed.load(Ordering::Acquire), 10);
    running.trigger.trigger();
    running.task.await.unwrap().unwrap();
    assert_eq!(running.monitor.state(), ProjectorState::Ended);
}

#[tokio::test(start_paused = true)]
async fn the_second_stands_by_until_the_model_stays_behind() {
    let (store, clock, model) = (memory(), clock(), MemoryReadModel::new(Count::new(1)));
    orders(&*store).await;
    let one = start(Arc::new(model.clone()), &store, &clock, options());
    let other = start(Arc::new(model.clone()), &store, &clock, options());
    let standing_by = |running: &Running| running.monitor.state() == ProjectorState::StandingBy;
    until("one of them stands by", async || {
        append(&*store, clock.now(), "order/9", "x").await;
        sleep(Duration::from_millis(1)).await;
        standing_by(&one) || standing_by(&other)
    })
    .await;
    let (active, mut idle) = if standing_by(&other) { (one, other) } else { (other, one) };
    let outrun = idle.monitor.metrics();
    for _ in 0..60 {
        append(&*store, clock.now(), "order/9", "x").await;
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(idle.monitor.metrics(), outrun, "it left the model to the other");
    active.task.abort();
    let died = clock.now();
    let last = append(&*store, clock.now(), "order/9", "x").await;
    idle.reached(last).await;
    let waited = clock.now().since(died);
    assert!((5..8).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(model.live().unwrap().model.values().sum::<i64>() as u64, last.get());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_superseded_before_it_begins_ends() {
    let (store, clock, model) = (memory(), clock(), MemoryReadModel::new(Count::new(2)));
    let mut new = start(Arc::new(model.clone()), &store, &clock, options());
    new.reached(Position::START).await;
    let old = start(Arc::new(model.with_projection(Count::new(1))), &store, &clock, options());
    let error = old.task.await.unwrap().unwrap_err();
    assert!(matches!(error, ProjectorError::Model(ModelError::Superseded { .. })), "{error:?}");
    // As a service it has come to its end.
    let old = Arc::new(model.with_projection(Count::new(1)));
    let service = Box::new(Projector::new(old, store, clock, options()));
    assert_eq!(service.name().as_str(), "projection count");
    let (_trigger, shutdown) = ShutdownTrigger::new();
    Service::run(service, shutdown).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn as_a_service_it_fails_for_good_at_poison() {
    let (store, clock, model) = (memory(), clock(), MemoryReadModel::new(Count::new(1)));
    append(&*store, clock.now(), "order/0", POISON).await;
    let service = Box::new(Projector::new(Arc::new(model), store, clock, options()));
    let (_trigger, shutdown) = ShutdownTrigger::new();
    let error = Service::run(service, shutdown).await.unwrap_err();
    assert!(matches!(error, ServiceError::Fatal { .. }), "{error:?}");
}
