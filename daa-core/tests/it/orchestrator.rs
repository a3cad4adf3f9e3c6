//! A whole process: restarts, isolation, and an end that leaves nothing in doubt.

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{ActionState, Context, Gate};
use daa_core::bus::{BusError, EventBus, InProcessBus, Message};
use daa_core::clock::ManualClock;
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, MemoryEventStore, PageSize, Position, ReadError, RecordedEvent,
    Subscription, Version,
};
use daa_core::health::{Condition, Probe, Without, examine};
use daa_core::id::{ActionId, PluginName, StreamId};
use daa_core::orchestrator::{
    DaaOrchestrator, OpenLeft, OrchestratorBuilder, RestartPolicy, Service, ServiceEnd, ServiceError,
    ServiceHealth, ServiceName, ServiceState, StartError,
};
use daa_core::plugin::semver::Version as PluginVersion;
use daa_core::plugin::{
    DaaPlugin, PluginContext, PluginError, PluginHost, PluginInput, PluginOutput, PluginState,
};
use daa_core::shutdown::Shutdown;

use crate::resilience::support::{PermitAll, Slow, action, idle, in_time};

const SECOND: Duration = Duration::from_secs(1);

type Log = Arc<Mutex<Vec<String>>>;

struct World {
    clock: ManualClock,
    store: MemoryEventStore,
    gate: Gate,
    log: Log,
}

impl World {
    fn new() -> Self {
        let (clock, store) = (ManualClock::default(), MemoryEventStore::new());
        let gate = Gate::builder(Arc::new(store.clone()), Arc::new(clock.clone()));
        let gate = gate.with_policy(Arc::new(PermitAll)).build();
        Self { clock, store, gate, log: Log::default() }
    }

    fn builder(&self) -> OrchestratorBuilder {
        let clock = Arc::new(self.clock.clone());
        DaaOrchestrator::builder(Arc::new(self.store.clone()), self.gate.clone(), clock).with_grace(SECOND)
    }
}

/// A service that is a function.
struct Task<F>(&'static str, F);

#[async_trait]
impl<F, R> Service for Task<F>
where
    F: FnOnce(Shutdown) -> R + Send,
    R: Future<Output = Result<(), ServiceError>> + Send,
{
    fn name(&self) -> ServiceName {
        ServiceName::from_static(self.0)
    }

    async fn run(self: Box<Self>, shutdown: Shutdown) -> Result<(), ServiceError> {
        self.1(shutdown).await
    }
}

async fn until_told(mut shutdown: Shutdown) -> Result<(), ServiceError> {
    shutdown.requested().await;
    Ok(())
}

async fn fails(_: Shutdown) -> Result<(), ServiceError> {
    Err(ServiceError::transient("no connection"))
}

async fn gives_up(_: Shutdown) -> Result<(), ServiceError> {
    Err(ServiceError::fatal("no such host"))
}

async fn panics(_: Shutdown) -> Result<(), ServiceError> {
    panic!("boom")
}

async fn ignores(_: Shutdown) -> Result<(), ServiceError> {
    pending().await
}

/// Submits one action and ends; does not listen to anybody meanwhile.
fn submits(world: &World, executor: &Arc<Slow>) -> impl Service + 'static {
    let (gate, executor) = (world.gate.clone(), executor.clone());
    Task("payer", move |_| async move {
        let submitted = gate.submit(action("pay"), Context::new(), &*executor).await;
        submitted.map(|_| ()).map_err(ServiceError::fatal)
    })
}

struct Noted {
    name: &'static str,
    log: Log,
}

impl Noted {
    fn note(&self, what: &str) {
        self.log.lock().unwrap().push(format!("{what} {}", self.name));
    }
}

#[async_trait]
impl DaaPlugin for Noted {
    fn name(&self) -> PluginName {
        self.name.parse().unwrap()
    }

    fn version(&self) -> PluginVersion {
        PluginVersion::new(1, 0, 0)
    }

    async fn initialize(&self, _: &PluginContext) -> Result<(), PluginError> {
        self.note("init");
        if self.name == "broken" { Err(PluginError::failed("broken")) } else { Ok(()) }
    }

    async fn execute(&self, _: PluginInput) -> Result<PluginOutput, PluginError> {
        Ok(PluginOutput::default())
    }

    async fn shutdown(&self) -> Result<(), PluginError> {
        self.note("stop");
        Ok(())
    }
}

fn plugins(world: &World, names: &[&'static str]) -> PluginHost {
    let builder = PluginHost::builder(Arc::new(world.clock.clone()));
    let with = |builder: daa_core::plugin::PluginHostBuilder, name: &&'static str| {
        builder.with_plugin(Noted { name, log: world.log.clone() })
    };
    names.iter().fold(builder, with).build().unwrap()
}

async fn services(orchestrator: &DaaOrchestrator) -> Vec<ServiceHealth> {
    idle().await;
    orchestrator.health().await.services
}

/// Shuts down in the background, so that the test can move the clock.
async fn shut_down(
    orchestrator: DaaOrchestrator,
) -> tokio::task::JoinHandle<daa_core::orchestrator::ShutdownReport> {
    let ending = tokio::spawn(in_time(orchestrator.shutdown()));
    idle().await;
    ending
}

#[tokio::test]
async fn brings_everything_up_and_down_in_order() {
    let world = World::new();
    let log = world.log.clone();
    let service = Task("watch", move |shutdown| async move {
        log.lock().unwrap().push("run watch".to_owned());
        until_told(shutdown).await?;
        log.lock().unwrap().push("end watch".to_owned());
        Ok(())
    });
    let bus: Arc<dyn EventBus> = Arc::new(InProcessBus::new(Arc::new(world.clock.clone())));
    let orchestrator = world
        .builder()
        .with_bus(bus.clone())
        .with_plugins(plugins(&world, &["a", "b"]))
        .with_service(service)
        .start()
        .await
        .unwrap();
    idle().await;
    let health = orchestrator.health().await;
    assert!(health.is_healthy(), "{health:?}");
    assert_eq!(health.services[0].state, ServiceState::Running);
    assert_eq!(health.plugins[1].state, PluginState::Running);
    assert_eq!(
        health.parts.parts.iter().map(|part| part.part.as_str()).collect::<Vec<_>>(),
        ["store", "bus"]
    );
    assert!(health.is_ready() && !health.parts.is_degraded(), "{}", health.parts);
    let report = orchestrator.shutdown().await;
    assert!(report.is_orderly(), "{report:?}");
    assert_eq!(
        *world.log.lock().unwrap(),
        ["init a", "init b", "run watch", "end watch", "stop b", "stop a"]
    );
    let closed = bus.publish(Message::new("t".parse().unwrap(), "")).await;
    assert!(matches!(closed, Err(BusError::Closed)), "{closed:?}");
}

/// A part that is as it is told to be.
#[derive(Debug)]
struct Part(&'static str, Without, Option<Condition>);

#[async_trait]
impl Probe for Part {
    fn part(&self) -> &str {
        self.0
    }

    fn without(&self) -> Without {
        self.1
    }

    async fn condition(&self) -> Condition {
        match &self.2 {
            Some(condition) => condition.clone(),
            None => pending().await,
        }
    }
}

#[tokio::test]
async fn a_process_without_its_cache_is_degraded_and_one_without_its_ledger_is_not_ready() {
    let world = World::new();
    let away = Condition::Unavailable { reason: "connection refused".to_owned() };
    let cache = Arc::new(Part("cache", Without::Slows, Some(away)));
    let orchestrator = world.builder().with_probe(cache.clone()).start().await.unwrap();
    let health = orchestrator.health().await;
    assert!(health.is_ready() && health.parts.is_degraded() && !health.is_healthy(), "{health:?}");
    assert!(
        health.parts.to_string().ends_with("\ncache: away, work goes on, slower: connection refused"),
        "{}",
        health.parts
    );
    assert!(orchestrator.shutdown().await.is_orderly());

    let ledger = Arc::new(Part("ledger", Without::Refuses, Some(Condition::Closed)));
    let world = World::new();
    let orchestrator = world.builder().with_probe(cache).with_probe(ledger).start().await.unwrap();
    let health = orchestrator.health().await;
    assert!(!health.is_ready() && !health.parts.is_degraded(), "{health:?}");
    assert!(orchestrator.shutdown().await.is_orderly());
}

#[tokio::test]
async fn a_part_that_never_answers_does_not_hold_up_the_others() {
    let clock = ManualClock::default();
    let silent: Arc<dyn Probe> = Arc::new(Part("silent", Without::Waits, None));
    let ready = Condition::Ready { answered_in: Duration::ZERO };
    let quick: Arc<dyn Probe> = Arc::new(Part("quick", Without::Refuses, Some(ready.clone())));
    let limit = Duration::from_secs(3);
    let asked = clock.clone();
    let report = tokio::spawn(async move { examine(&asked, limit, &[silent, quick]).await });
    idle().await;
    clock.advance(limit);
    let report = report.await.unwrap();
    let no_answer = Condition::Unavailable { reason: "no answer within 3s".to_owned() };
    let conditions: Vec<_> = report.parts.into_iter().map(|part| part.condition).collect();
    assert_eq!(conditions, [no_answer, ready]);
}

#[tokio::test]
async fn a_panic_or_a_failure_of_one_service_harms_no_other() {
    let world = World::new();
    let orchestrator = world
        .builder()
        .with_service(Task("bad", panics))
        .with_service(Task("worse", fails))
        .with_service(Task("good", until_told))
        .start()
        .await
        .unwrap();
    let states = services(&orchestrator).await;
    assert_eq!(states[0].state, ServiceState::Failed { error: "panicked: boom".to_owned() });
    assert_eq!(
        states[1].state,
        ServiceState::Failed { error: "the service failed: no connection".to_owned() }
    );
    assert_eq!(states[2].state, ServiceState::Running);
    assert!(!orchestrator.health().await.is_healthy());
    let report = orchestrator.shutdown().await;
    assert!(matches!(report.services[0].1, ServiceEnd::Failed { .. }));
    assert_eq!(report.services[2].1, ServiceEnd::Stopped);
}

#[tokio::test]
async fn a_failing_service_is_started_again_a_bounded_number_of_times() {
    let world = World::new();
    let runs = Arc::new(AtomicU32::new(0));
    let policy = RestartPolicy::up_to(2).with_backoff(SECOND, 10 * SECOND);
    let counted = runs.clone();
    let make = move || {
        let runs = counted.clone();
        Task("flaky", move |shutdown| async move {
            // A panic must count like an error.
            if runs.fetch_add(1, Ordering::SeqCst) == 1 {
                panics(shutdown).await
            } else {
                fails(shutdown).await
            }
        })
    };
    let orchestrator = world.builder().with_restarting_service(policy, make).start().await.unwrap();
    for (wait, restarts) in [(SECOND, 0), (2 * SECOND, 1)] {
        let flaky = services(&orchestrator).await.remove(0);
        assert!(matches!(flaky.state, ServiceState::Resting { .. }), "{flaky:?}");
        assert_eq!(flaky.restarts, restarts);
        world.clock.advance(wait - Duration::from_millis(1));
        assert_eq!(services(&orchestrator).await[0].restarts, restarts);
        world.clock.advance(Duration::from_millis(1));
    }
    let flaky = services(&orchestrator).await.remove(0);
    assert!(matches!(flaky.state, ServiceState::Failed { .. }), "{flaky:?}");
    assert_eq!((flaky.restarts, runs.load(Ordering::SeqCst)), (2, 3));
    orchestrator.finished().await;
}

#[tokio::test]
async fn what_a_restart_cannot_mend_is_not_restarted() {
    let world = World::new();
    let make = || Task("lost", gives_up);
    let builder = world.builder().with_restarting_service(RestartPolicy::up_to(5), make);
    let orchestrator = builder.start().await.unwrap();
    let lost = services(&orchestrator).await.remove(0);
    assert!(matches!(lost.state, ServiceState::Failed { .. }), "{lost:?}");
    assert_eq!(lost.restarts, 0);
}

#[tokio::test]
async fn a_resting_service_does_not_hold_up_the_end() {
    let world = World::new();
    let make = || Task("flaky", fails);
    let builder = world.builder().with_restarting_service(RestartPolicy::up_to(5), make);
    let orchestrator = builder.start().await.unwrap();
    idle().await;
    let report = orchestrator.shutdown().await;
    assert!(matches!(report.services[0].1, ServiceEnd::Failed { .. }), "{report:?}");
}

#[tokio::test]
async fn an_action_in_flight_finishes_within_the_grace_period() {
    let (world, executor) = (World::new(), Arc::new(Slow::new()));
    let orchestrator = world.builder().with_service(submits(&world, &executor)).start().await.unwrap();
    idle().await;
    assert_eq!(executor.begun(), 1);
    let ending = shut_down(orchestrator).await;
    assert!(!ending.is_finished());
    world.clock.advance(SECOND / 2);
    executor.let_go(1);
    let report = ending.await.unwrap();
    assert!(report.is_orderly(), "{report:?}");
    let status = world.gate.status(&ActionId::new("pay").unwrap()).await.unwrap().unwrap();
    assert!(matches!(status.state, ActionState::Succeeded(_)), "{:?}", status.state);
}

#[tokio::test]
async fn an_action_that_is_cut_off_is_left_reconcilable_and_not_repeated() {
    let (world, executor) = (World::new(), Arc::new(Slow::new()));
    let orchestrator = world
        .builder()
        .with_service(submits(&world, &executor))
        .with_service(Task("good", until_told))
        .with_plugins(plugins(&world, &["a"]))
        .start()
        .await
        .unwrap();
    idle().await;
    let ending = shut_down(orchestrator).await;
    world.clock.advance(SECOND);
    let report = ending.await.unwrap();
    let id = ActionId::new("pay").unwrap();
    assert_eq!(report.services[0].1, ServiceEnd::CutOff);
    assert_eq!(report.services[1].1, ServiceEnd::Stopped);
    assert_eq!(report.open, OpenLeft::Actions(vec![id.clone()]));
    assert_eq!(*world.log.lock().unwrap(), ["init a", "stop a"]);
    let status = world.gate.status(&id).await.unwrap().unwrap();
    assert_eq!((status.state, status.attempts), (ActionState::Attempted, 1));
    let performed = world.gate.submit(action("pay"), Context::new(), &*executor).await.unwrap();
    assert_eq!(performed.outcome.output, "found");
    assert_eq!(executor.begun(), 1, "reconciled, not repeated");
    assert_eq!(world.gate.open_actions().await.unwrap(), []);
}

#[tokio::test]
async fn dropping_it_asks_the_services_to_end() {
    let world = World::new();
    let log = world.log.clone();
    let service = Task("watch", move |shutdown| async move {
        until_told(shutdown).await?;
        log.lock().unwrap().push("end".to_owned());
        Ok(())
    });
    let orchestrator = world.builder().with_service(service).start().await.unwrap();
    idle().await;
    drop(orchestrator);
    idle().await;
    assert_eq!(*world.log.lock().unwrap(), ["end"]);
}

#[tokio::test]
async fn a_plugin_that_does_not_come_up_keeps_everything_down() {
    let world = World::new();
    let log = world.log.clone();
    let service = Task("watch", move |_| async move {
        log.lock().unwrap().push("run".to_owned());
        Ok(())
    });
    let builder = world.builder().with_service(service).with_plugins(plugins(&world, &["a", "broken"]));
    let error = builder.start().await.unwrap_err();
    assert!(matches!(error, StartError::Plugins(_)), "{error:?}");
    idle().await;
    assert_eq!(*world.log.lock().unwrap(), ["init a", "init broken", "stop a"]);
}

#[tokio::test]
async fn two_services_of_one_name_are_refused() {
    let builder = World::new().builder().with_service(Task("a", ignores)).with_service(Task("a", ignores));
    let error = builder.start().await.unwrap_err();
    assert!(matches!(&error, StartError::DuplicateService { name } if name.as_str() == "a"), "{error:?}");
}

/// A store that never answers.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl EventStore for Silent {
    async fn append(&self, _: Batch) -> Result<Appended, AppendError> {
        pending().await
    }

    async fn read_stream(
        &self,
        _: &StreamId,
        _: Version,
        _: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        pending().await
    }

    async fn read_all(&self, _: Position, _: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        pending().await
    }

    async fn subscribe(&self, _: Position) -> Result<Subscription, ReadError> {
        pending().await
    }

    async fn erase(&self, _: &StreamId, _: Version) -> Result<u64, AppendError> {
        pending().await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        pending().await
    }

    async fn close(&self) {}
}

#[tokio::test]
async fn a_store_that_does_not_answer_keeps_everything_down() {
    let world = World::new();
    let clock = Arc::new(world.clock.clone());
    let starting = DaaOrchestrator::builder(Arc::new(Silent), world.gate.clone(), clock)
        .with_plugins(plugins(&world, &["a"]))
        .start();
    let starting = tokio::spawn(starting);
    idle().await;
    world.clock.advance(5 * SECOND);
    let error = starting.await.unwrap().unwrap_err();
    assert!(matches!(error, StartError::StoreTimedOut { .. }), "{error:?}");
    assert!(world.log.lock().unwrap().is_empty());
}
