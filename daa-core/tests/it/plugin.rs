//! Plugins in a host: order, isolation, limits, and no power of their own.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{ActionState, Context, Gate, GateError};
use daa_core::bus::{EventBus, InProcessBus, Message, SubscribeOptions};
use daa_core::clock::{Clock, ManualClock};
use daa_core::event::MemoryEventStore;
use daa_core::fault::{Fault, Reaction};
use daa_core::id::PluginName;
use daa_core::plugin::semver::Version;
use daa_core::plugin::{
    DaaPlugin, Dependency, LoadError, PluginContext, PluginError, PluginHost, PluginHostBuilder,
    PluginHostError, PluginInput, PluginLimits, PluginOutput, PluginState, PluginStop,
};
use proptest::prelude::*;
use serde_json::json;

use crate::resilience::support::{Scripted, action, gate, idle, in_time};

const SECOND: Duration = Duration::from_secs(1);

/// What happened, in order.
type Log = Arc<Mutex<Vec<String>>>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Behaviour {
    Good,
    FailsAt(&'static str),
    PanicsAt(&'static str),
    HangsAt(&'static str),
}

struct Test {
    name: PluginName,
    version: Version,
    dependencies: Vec<Dependency>,
    behaviour: Behaviour,
    log: Log,
}

impl Test {
    fn new(name: &str, log: &Log) -> Self {
        let (version, dependencies) = (Version::new(1, 2, 3), Vec::new());
        Self { name: plugin(name), version, dependencies, behaviour: Behaviour::Good, log: log.clone() }
    }

    fn needs(mut self, name: &str, version: &str) -> Self {
        self.dependencies.push(Dependency::new(plugin(name), version.parse().unwrap()));
        self
    }

    fn which(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    async fn step(&self, phase: &'static str) -> Result<(), PluginError> {
        self.log.lock().unwrap().push(format!("{phase} {}", self.name));
        match self.behaviour {
            Behaviour::FailsAt(at) if at == phase => Err(PluginError::failed("broken")),
            Behaviour::PanicsAt(at) if at == phase => panic!("boom"),
            Behaviour::HangsAt(at) if at == phase => pending().await,
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl DaaPlugin for Test {
    fn name(&self) -> PluginName {
        self.name.clone()
    }

    fn version(&self) -> Version {
        self.version.clone()
    }

    fn dependencies(&self) -> Vec<Dependency> {
        self.dependencies.clone()
    }

    async fn initialize(&self, context: &PluginContext) -> Result<(), PluginError> {
        if context.config == json!("bad") {
            return Err(PluginError::invalid("bad configuration"));
        }
        self.step("init").await
    }

    async fn execute(&self, input: PluginInput) -> Result<PluginOutput, PluginError> {
        self.step("run").await?;
        match input.operation() {
            "echo" => Ok(PluginOutput::new(input.into_params())),
            "act" => Ok(PluginOutput::default().with_action(action("wanted"))),
            "flood" => {
                Ok((0..300).fold(PluginOutput::default(), |output, _| output.with_action(action("a"))))
            }
            "bloat" => Ok(PluginOutput::new("x".repeat(100_000))),
            _ => Err(PluginError::Unsupported { operation: input.operation().to_owned() }),
        }
    }

    async fn shutdown(&self) -> Result<(), PluginError> {
        self.step("stop").await
    }
}

fn plugin(name: &str) -> PluginName {
    name.parse().unwrap()
}

fn host(clock: &ManualClock, plugins: impl IntoIterator<Item = Test>) -> PluginHostBuilder {
    let limits = PluginLimits::default().with_initialize(SECOND).with_execute(SECOND).with_shutdown(SECOND);
    let builder = PluginHost::builder(Arc::new(clock.clone())).with_limits(limits);
    plugins.into_iter().fold(builder, PluginHostBuilder::with_plugin)
}

fn seen(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

fn ended(name: &str, stops: &[PluginStop]) -> Option<String> {
    stops.iter().find(|stop| stop.name == plugin(name)).unwrap().error.clone()
}

fn state(host: &PluginHost, name: &str) -> PluginState {
    host.status().into_iter().find(|status| status.name == plugin(name)).unwrap().state
}

async fn call(host: &PluginHost, name: &str, operation: &str) -> Result<PluginOutput, PluginHostError> {
    host.execute(&plugin(name), PluginInput::new(operation).with_params("hi")).await
}

/// Runs a call until it waits, lets its time limit pass, and returns its result.
async fn after_a_second<T: Send + 'static>(
    clock: &ManualClock,
    call: impl Future<Output = T> + Send + 'static,
) -> T {
    let call = tokio::spawn(in_time(call));
    idle().await;
    clock.advance(SECOND);
    call.await.unwrap()
}

#[tokio::test]
async fn comes_up_in_the_order_of_needs_and_goes_down_in_reverse() {
    let (clock, log) = (ManualClock::default(), Log::default());
    let plugins = [
        Test::new("a", &log).needs("c", "^1.0"),
        Test::new("b", &log),
        Test::new("c", &log).needs("d", ">=1.2, <2"),
        Test::new("d", &log),
    ];
    let host = host(&clock, plugins).build().unwrap();
    host.initialize().await.unwrap();
    let stops = host.shutdown().await;
    assert_eq!(seen(&log), ["init b", "init d", "init c", "init a", "stop a", "stop c", "stop d", "stop b"]);
    assert!(stops.iter().all(|stop| stop.error.is_none()));
    assert!(matches!(call(&host, "a", "echo").await, Err(PluginHostError::NotRunning { .. })));
    assert_eq!(host.shutdown().await, [], "nothing is shut down twice");
}

#[test]
fn names_those_that_do_not_fit_together() {
    let (clock, log) = (ManualClock::default(), Log::default());
    let build = |plugins: Vec<Test>| host(&clock, plugins).build().unwrap_err();
    let duplicate = build(vec![Test::new("a", &log), Test::new("a", &log)]);
    assert_eq!(duplicate, LoadError::Duplicate { name: plugin("a") });
    let missing = build(vec![Test::new("a", &log).needs("b", "^1")]);
    assert_eq!(missing.to_string(), "plugin a needs b ^1, which is not loaded");
    let incompatible = build(vec![Test::new("a", &log).needs("b", "^2"), Test::new("b", &log)]);
    assert_eq!(incompatible.to_string(), "plugin a needs b ^2, but 1.2.3 is loaded");
    let circle = build(vec![
        Test::new("a", &log).needs("b", "*"),
        Test::new("b", &log).needs("c", "*"),
        Test::new("c", &log).needs("b", "*"),
        Test::new("d", &log),
    ]);
    assert_eq!(circle, LoadError::Cycle { plugins: vec![plugin("b"), plugin("c")] });
    assert_eq!(circle.to_string(), "plugins need each other in a circle: b -> c -> b");
    let unused = host(&clock, []).with_config(plugin("x"), 1).build().unwrap_err();
    assert_eq!(unused, LoadError::UnusedConfig { name: plugin("x") });
}

#[tokio::test]
async fn a_failed_start_shuts_down_what_had_started() {
    for behaviour in [Behaviour::FailsAt("init"), Behaviour::PanicsAt("init")] {
        let (clock, log) = (ManualClock::default(), Log::default());
        let plugins = [
            Test::new("a", &log),
            Test::new("b", &log).needs("a", "*"),
            Test::new("c", &log).needs("b", "*").which(behaviour),
            Test::new("d", &log).needs("c", "*"),
        ];
        let host = host(&clock, plugins).build().unwrap();
        let error = host.initialize().await.unwrap_err();
        let PluginHostError::Initialize { plugin: culprit, stopped, .. } = error else { panic!("{error:?}") };
        assert_eq!(culprit, plugin("c"));
        assert_eq!(stopped.iter().map(|stop| stop.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(seen(&log), ["init a", "init b", "init c", "stop b", "stop a"]);
        assert!(matches!(state(&host, "c"), PluginState::Failed { .. }));
        assert!(matches!(host.initialize().await, Err(PluginHostError::AlreadyInitialized)));
    }
}

#[tokio::test]
async fn a_start_that_hangs_is_given_up_on() {
    let (clock, log) = (ManualClock::default(), Log::default());
    let plugin = Test::new("a", &log).which(Behaviour::HangsAt("init"));
    let host = host(&clock, [plugin]).build().unwrap();
    let result = after_a_second(&clock, async move { host.initialize().await }).await;
    let PluginHostError::Initialize { source, .. } = result.unwrap_err() else { panic!("another error") };
    assert!(matches!(*source, PluginHostError::TimedOut { limit: SECOND, .. }), "{source:?}");
}

#[tokio::test]
async fn a_panic_takes_one_plugin_out_and_no_other() {
    let (clock, log) = (ManualClock::default(), Log::default());
    let plugins = [Test::new("bad", &log).which(Behaviour::PanicsAt("run")), Test::new("good", &log)];
    let host = host(&clock, plugins).build().unwrap();
    host.initialize().await.unwrap();
    let error = call(&host, "bad", "echo").await.unwrap_err();
    assert!(matches!(&error, PluginHostError::Panicked { message, .. } if message == "boom"), "{error:?}");
    assert_eq!(error.fault(), Fault::Peer);
    let state = state(&host, "bad");
    assert!(matches!(&state, PluginState::Failed { error } if error.contains("boom")), "{state:?}");
    assert!(matches!(call(&host, "bad", "echo").await, Err(PluginHostError::NotRunning { .. })));
    assert_eq!(call(&host, "good", "echo").await.unwrap().value(), "hi");
    host.shutdown().await;
    assert!(!seen(&log).contains(&"stop bad".to_owned()), "a failed plugin is not called again");
}

#[tokio::test]
async fn a_call_that_hangs_is_given_up_on_and_the_plugin_stays() {
    let (clock, log) = (ManualClock::default(), Log::default());
    let host = host(&clock, [Test::new("a", &log).which(Behaviour::HangsAt("run"))]).build().unwrap();
    host.initialize().await.unwrap();
    let hanging = host.clone();
    let result = after_a_second(&clock, async move { call(&hanging, "a", "echo").await }).await;
    assert!(matches!(result, Err(PluginHostError::TimedOut { limit: SECOND, .. })), "{result:?}");
    assert_eq!(state(&host, "a"), PluginState::Running);
}

#[tokio::test]
async fn a_bad_end_keeps_no_other_plugin_from_its_own() {
    let (clock, log) = (ManualClock::default(), Log::default());
    let plugins = [
        Test::new("a", &log),
        Test::new("b", &log).which(Behaviour::PanicsAt("stop")),
        Test::new("c", &log).which(Behaviour::FailsAt("stop")),
        Test::new("d", &log).which(Behaviour::HangsAt("stop")),
    ];
    let host = host(&clock, plugins).build().unwrap();
    host.initialize().await.unwrap();
    let stops = after_a_second(&clock, async move { host.shutdown().await }).await;
    assert_eq!(ended("a", &stops), None);
    assert!(ended("b", &stops).unwrap().contains("boom"));
    assert!(ended("c", &stops).unwrap().contains("broken"));
    assert!(ended("d", &stops).unwrap().contains("longer than 1s"));
}

#[tokio::test]
async fn what_goes_in_and_out_is_bounded() {
    let (clock, log) = (ManualClock::default(), Log::default());
    let host = host(&clock, [Test::new("a", &log)]).build().unwrap();
    host.initialize().await.unwrap();
    let large = PluginInput::new("echo").with_params("x".repeat(100_000));
    let result = host.execute(&plugin("a"), large).await;
    assert!(matches!(result, Err(PluginHostError::InputTooLarge { actual: 100_002, .. })), "{result:?}");
    let result = call(&host, "a", "bloat").await;
    assert!(matches!(result, Err(PluginHostError::OutputTooLarge { actual: 100_002, .. })), "{result:?}");
    let result = call(&host, "a", "flood").await;
    assert!(
        matches!(result, Err(PluginHostError::TooManyActions { actual: 300, limit: 256, .. })),
        "{result:?}"
    );
    let result = call(&host, "a", "dance").await;
    assert!(
        matches!(result, Err(PluginHostError::Plugin { source: PluginError::Unsupported { .. }, .. })),
        "{result:?}"
    );
    assert!(matches!(call(&host, "x", "echo").await, Err(PluginHostError::NotLoaded { .. })));
}

#[tokio::test]
async fn what_a_plugin_wants_done_still_needs_the_gate() {
    let (clock, log) = (ManualClock::default(), Log::default());
    let host = host(&clock, [Test::new("a", &log)]).build().unwrap();
    host.initialize().await.unwrap();
    let wanted = call(&host, "a", "act").await.unwrap().into_actions().remove(0);
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let closed = Gate::builder(Arc::new(MemoryEventStore::new()), clock).build();
    let executor = Scripted::default();
    let denied = closed.submit(wanted.clone(), Context::new(), &executor).await;
    assert!(matches!(denied, Err(GateError::Denied { .. })), "{denied:?}");
    assert_eq!(executor.calls(), 0);
    let open = gate(&ManualClock::default());
    open.submit(wanted, Context::new(), &executor).await.unwrap();
    assert_eq!(executor.calls(), 1);
}

/// Reaches an effect in the one way there is.
#[derive(Default)]
struct Payer {
    context: OnceLock<PluginContext>,
    executor: Arc<Scripted>,
}

#[async_trait]
impl DaaPlugin for Payer {
    fn name(&self) -> PluginName {
        plugin("payer")
    }

    fn version(&self) -> Version {
        Version::new(1, 0, 0)
    }

    async fn initialize(&self, context: &PluginContext) -> Result<(), PluginError> {
        self.context.set(context.clone()).map_err(|_| PluginError::failed("initialised twice"))
    }

    async fn execute(&self, _: PluginInput) -> Result<PluginOutput, PluginError> {
        let context = self.context.get().unwrap();
        let gate = context.gate.as_ref().ok_or_else(|| PluginError::failed("no gate"))?;
        let performed = gate.submit(action("pay"), Context::new(), &*self.executor).await;
        let performed = performed.map_err(PluginError::failed)?;
        let bus = context.bus.as_ref().ok_or_else(|| PluginError::failed("no bus"))?;
        let paid = Message::new("paid".parse().unwrap(), "pay");
        let _ = bus.publish(paid).await.map_err(PluginError::failed)?;
        Ok(PluginOutput::new(performed.outcome.output))
    }
}

#[tokio::test]
async fn a_plugin_that_was_given_a_gate_can_submit_and_one_that_was_not_cannot() {
    let clock = ManualClock::default();
    let powerless =
        PluginHost::builder(Arc::new(clock.clone())).with_plugin(Payer::default()).build().unwrap();
    powerless.initialize().await.unwrap();
    assert!(matches!(call(&powerless, "payer", "pay").await, Err(PluginHostError::Plugin { .. })));
    let (gate, bus) = (gate(&clock), InProcessBus::new(Arc::new(clock.clone())));
    let mut paid = bus.subscribe(SubscribeOptions::new("paid".parse().unwrap())).await.unwrap();
    let host = PluginHost::builder(Arc::new(clock))
        .with_plugin(Payer::default())
        .with_gate(gate.clone())
        .with_bus(Arc::new(bus))
        .build()
        .unwrap();
    host.initialize().await.unwrap();
    assert_eq!(call(&host, "payer", "pay").await.unwrap().value(), "ok");
    let status = gate.status(&"pay".parse().unwrap()).await.unwrap().unwrap();
    assert!(matches!(status.state, ActionState::Succeeded(_)), "{:?}", status.state);
    assert_eq!(paid.next().await.unwrap().unwrap().message().payload(), "pay");
}

#[tokio::test]
async fn a_configuration_that_makes_no_sense_is_the_callers_fault() {
    let (clock, log) = (ManualClock::default(), Log::default());
    let host = host(&clock, [Test::new("a", &log)]).with_config(plugin("a"), "bad").build().unwrap();
    let error = host.initialize().await.unwrap_err();
    assert_eq!(error.fault(), Fault::Caller);
}

proptest! {
    /// Needs only point to lower numbers, so there is an order; names are shuffled, so it is not the alphabet's.
    #[test]
    fn everything_comes_after_what_it_needs(
        needs in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..12),
        names in Just((0..12).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let (clock, log) = (ManualClock::default(), Log::default());
        let name = |index: usize| format!("p{:02}", names[index]);
        let mut pairs = BTreeSet::new();
        let plugins: Vec<Test> = needs
            .iter()
            .enumerate()
            .map(|(index, needs)| {
                needs.iter().filter(|_| index > 0).fold(Test::new(&name(index), &log), |test, need| {
                    let need = name(need.index(index));
                    pairs.insert((need.clone(), name(index)));
                    test.needs(&need, "^1")
                })
            })
            .collect();
        let host = host(&clock, plugins).build().unwrap();
        let order: Vec<String> = host.status().iter().map(|status| status.name.to_string()).collect();
        prop_assert_eq!(order.len(), needs.len());
        let place = |name: &str| order.iter().position(|other| other == name).unwrap();
        for (first, second) in pairs {
            prop_assert!(place(&first) < place(&second));
        }
    }
}
