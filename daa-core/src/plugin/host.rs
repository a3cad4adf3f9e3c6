//! What runs plugins.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use semver::Version;
use serde_json::Value;

use super::contract::{DaaPlugin, PluginContext};
use super::error::{LoadError, PluginHostError};
use super::exchange::{PluginInput, PluginOutput, check_size};
use super::guard::guarded;
use super::info::PluginInfo;
use super::order::initialization_order;
use crate::action::Gate;
use crate::bus::EventBus;
use crate::clock::Clock;
use crate::failure_text::error_text;
use crate::id::PluginName;

/// How long the calls of a plugin may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    initialize: Duration,
    execute: Duration,
    shutdown: Duration,
}

impl PluginLimits {
    /// How long it may take to get ready.
    #[must_use]
    pub const fn with_initialize(mut self, limit: Duration) -> Self {
        self.initialize = limit;
        self
    }

    /// How long one call may take.
    #[must_use]
    pub const fn with_execute(mut self, limit: Duration) -> Self {
        self.execute = limit;
        self
    }

    /// How long it may take to shut down.
    #[must_use]
    pub const fn with_shutdown(mut self, limit: Duration) -> Self {
        self.shutdown = limit;
        self
    }
}

impl Default for PluginLimits {
    /// 30 seconds to get ready and for a call, 5 seconds to shut down.
    fn default() -> Self {
        let (long, short) = (Duration::from_secs(30), Duration::from_secs(5));
        Self { initialize: long, execute: long, shutdown: short }
    }
}

/// Where a plugin stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PluginState {
    /// Not initialised yet.
    Loaded,
    /// Ready for calls.
    Running,
    /// Panicked, or could not be initialised.
    Failed {
        /// Why, for people.
        error: String,
    },
    /// Shut down.
    Stopped,
}

/// One plugin of a host and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginStatus {
    /// Its name.
    pub name: PluginName,
    /// Its version.
    pub version: Version,
    /// Where it stands.
    pub state: PluginState,
}

/// How a plugin was shut down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginStop {
    /// Which one.
    pub name: PluginName,
    /// Why it did not end in an orderly way, for people; `None` when it did.
    pub error: Option<String>,
}

struct Hosted {
    info: PluginInfo,
    plugin: Arc<dyn DaaPlugin>,
    context: PluginContext,
    state: Mutex<PluginState>,
}

impl Hosted {
    fn state(&self) -> MutexGuard<'_, PluginState> {
        // Nothing panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: &PluginHostError) {
        tracing::warn!(plugin = %self.info.name, error = error as &dyn std::error::Error, "plugin failed");
        *self.state() = PluginState::Failed { error: error_text(error) };
    }

    /// Changes the state when it is `from`.
    fn step(&self, from: &PluginState, to: PluginState) -> bool {
        let mut state = self.state();
        let fits = *state == *from;
        if fits {
            *state = to;
        }
        fits
    }
}

/// Runs plugins: in order, each in its bounds, none at the expense of another. Cheap to clone; clones are one
/// host.
#[derive(Clone)]
#[doc(alias = "PluginManager")]
pub struct PluginHost {
    shared: Arc<Shared>,
}

struct Shared {
    /// In the order of initialisation.
    plugins: Vec<Hosted>,
    /// Whether initialisation was begun.
    begun: AtomicBool,
    limits: PluginLimits,
    clock: Arc<dyn Clock>,
}

/// Puts a [`PluginHost`] together.
pub struct PluginHostBuilder {
    plugins: Vec<Arc<dyn DaaPlugin>>,
    configs: BTreeMap<PluginName, Value>,
    limits: PluginLimits,
    clock: Arc<dyn Clock>,
    gate: Option<Gate>,
    bus: Option<Arc<dyn EventBus>>,
}

impl PluginHostBuilder {
    /// Adds a plugin; the order does not matter.
    #[must_use]
    pub fn with_plugin(mut self, plugin: impl DaaPlugin + 'static) -> Self {
        self.plugins.push(Arc::new(plugin));
        self
    }

    /// Sets the configuration of a plugin; an earlier one is replaced.
    #[must_use]
    pub fn with_config(mut self, name: PluginName, config: impl Into<Value>) -> Self {
        self.configs.insert(name, config.into());
        self
    }

    /// Sets how long calls may take.
    #[must_use]
    pub const fn with_limits(mut self, limits: PluginLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Gives plugins a way to effects. Without it they can only return actions.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Gives plugins the bus.
    #[must_use]
    pub fn with_bus(mut self, bus: Arc<dyn EventBus>) -> Self {
        self.bus = Some(bus);
        self
    }

    /// The host; nothing is initialised yet.
    ///
    /// # Errors
    /// [`LoadError`], which names the culprits, when the plugins do not fit together.
    pub fn build(mut self) -> Result<PluginHost, LoadError> {
        let infos: Vec<PluginInfo> = self.plugins.iter().map(|plugin| PluginInfo::of(&**plugin)).collect();
        let order = initialization_order(&infos)?;
        let mut by_name: BTreeMap<PluginName, Hosted> = BTreeMap::new();
        for (plugin, info) in self.plugins.into_iter().zip(infos) {
            let context = PluginContext {
                config: self.configs.remove(&info.name).unwrap_or_default(),
                clock: self.clock.clone(),
                gate: self.gate.clone(),
                bus: self.bus.clone(),
            };
            let state = Mutex::new(PluginState::Loaded);
            by_name.insert(info.name.clone(), Hosted { info, plugin, context, state });
        }
        if let Some((name, _)) = self.configs.pop_first() {
            return Err(LoadError::UnusedConfig { name });
        }
        let plugins = order.iter().filter_map(|name| by_name.remove(name)).collect();
        let begun = AtomicBool::new(false);
        Ok(PluginHost { shared: Arc::new(Shared { plugins, begun, limits: self.limits, clock: self.clock }) })
    }
}

impl PluginHost {
    /// Starts with the clock that times calls.
    #[must_use]
    pub fn builder(clock: Arc<dyn Clock>) -> PluginHostBuilder {
        PluginHostBuilder {
            plugins: Vec::new(),
            configs: BTreeMap::new(),
            limits: PluginLimits::default(),
            clock,
            gate: None,
            bus: None,
        }
    }

    /// Initialises all plugins, each after what it needs.
    ///
    /// # Errors
    /// [`PluginHostError::Initialize`] when one fails, panics or takes too long; those that were initialised
    /// before it are shut down in reverse order. [`PluginHostError::AlreadyInitialized`] the second time.
    ///
    /// # Cancel safety
    /// When the future is dropped, [`Self::shutdown`] shuts down what was initialised.
    pub async fn initialize(&self) -> Result<(), PluginHostError> {
        if self.shared.begun.swap(true, Ordering::Relaxed) {
            return Err(PluginHostError::AlreadyInitialized);
        }
        for hosted in &self.shared.plugins {
            let call = async { hosted.plugin.initialize(&hosted.context).await };
            let limit = self.shared.limits.initialize;
            if let Err(error) = guarded(&hosted.info.name, &*self.shared.clock, limit, call).await {
                hosted.fail(&error);
                let (plugin, source) = (hosted.info.name.clone(), Box::new(error));
                return Err(PluginHostError::Initialize { plugin, source, stopped: self.shutdown().await });
            }
            hosted.step(&PluginState::Loaded, PluginState::Running);
        }
        Ok(())
    }

    /// Calls a plugin.
    ///
    /// # Errors
    /// [`PluginHostError`]; after a panic the plugin is not called again.
    ///
    /// # Cancel safety
    /// The call is dropped; what the plugin makes of that is its own.
    pub async fn execute(
        &self,
        name: &PluginName,
        input: PluginInput,
    ) -> Result<PluginOutput, PluginHostError> {
        let plugin = || name.clone();
        let hosted = self.shared.plugins.iter().find(|hosted| hosted.info.name == *name);
        let hosted = hosted.ok_or_else(|| PluginHostError::NotLoaded { plugin: plugin() })?;
        if *hosted.state() != PluginState::Running {
            return Err(PluginHostError::NotRunning { plugin: plugin() });
        }
        check_size(input.params())
            .map_err(|actual| PluginHostError::InputTooLarge { plugin: plugin(), actual })?;
        let call = async { hosted.plugin.execute(input).await };
        let output = guarded(name, &*self.shared.clock, self.shared.limits.execute, call).await;
        if let Err(error @ PluginHostError::Panicked { .. }) = &output {
            hosted.fail(error);
        }
        checked(name, output?)
    }

    /// Shuts down all plugins that run, each before what it needs, and says how each of them ended. One that
    /// fails, panics or takes too long does not keep the others from it.
    ///
    /// # Cancel safety
    /// Call it again: it goes on with the rest.
    pub async fn shutdown(&self) -> Vec<PluginStop> {
        let mut stops = Vec::new();
        for hosted in self.shared.plugins.iter().rev() {
            // First, so that it is not called any more, and not shut down twice.
            if !hosted.step(&PluginState::Running, PluginState::Stopped) {
                continue;
            }
            let call = async { hosted.plugin.shutdown().await };
            let limit = self.shared.limits.shutdown;
            let ended = guarded(&hosted.info.name, &*self.shared.clock, limit, call).await;
            let error = ended.err().map(|error| error_text(&error));
            stops.push(PluginStop { name: hosted.info.name.clone(), error });
        }
        stops
    }

    /// All plugins and where they stand, in the order of initialisation.
    #[must_use]
    pub fn status(&self) -> Vec<PluginStatus> {
        let status = |hosted: &Hosted| PluginStatus {
            name: hosted.info.name.clone(),
            version: hosted.info.version.clone(),
            state: hosted.state().clone(),
        };
        self.shared.plugins.iter().map(status).collect()
    }
}

/// What the plugin answered, if it is within bounds.
fn checked(name: &PluginName, output: PluginOutput) -> Result<PluginOutput, PluginHostError> {
    let (actual, limit) = (output.actions().len(), PluginOutput::MAX_ACTIONS);
    if actual > limit {
        return Err(PluginHostError::TooManyActions { plugin: name.clone(), actual, limit });
    }
    check_size(output.value())
        .map_err(|actual| PluginHostError::OutputTooLarge { plugin: name.clone(), actual })?;
    Ok(output)
}

impl fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.status()).finish()
    }
}

impl fmt::Debug for PluginHostBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.plugins.iter().map(|plugin| plugin.name());
        f.debug_list().entries(names).finish()
    }
}
