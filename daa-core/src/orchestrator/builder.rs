//! Putting a process together and starting it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::error::StartError;
use super::health::ServiceHealth;
use super::restart::RestartPolicy;
use super::running::{DaaOrchestrator, PATIENCE};
use super::service::Service;
use super::supervisor::{Factory, Supervised, Supervisor};
use crate::action::Gate;
use crate::bus::{EventBus, InProcessBus};
use crate::clock::Clock;
use crate::event::EventStore;
use crate::health::{BusProbe, Probe, StoreProbe};
use crate::plugin::PluginHost;
use crate::resilience::within;
use crate::shutdown::ShutdownTrigger;

/// Puts a [`DaaOrchestrator`] together.
#[must_use = "nothing runs before it is started"]
pub struct OrchestratorBuilder {
    store: Arc<dyn EventStore>,
    gate: Gate,
    clock: Arc<dyn Clock>,
    bus: Arc<dyn EventBus>,
    plugins: Option<PluginHost>,
    probes: Vec<Arc<dyn Probe>>,
    services: Vec<Supervised>,
    grace: Duration,
}

impl OrchestratorBuilder {
    pub(super) fn new(store: Arc<dyn EventStore>, gate: Gate, clock: Arc<dyn Clock>) -> Self {
        let bus = Arc::new(InProcessBus::new(clock.clone()));
        Self {
            store,
            gate,
            clock,
            bus,
            plugins: None,
            probes: Vec::new(),
            services: Vec::new(),
            grace: Duration::from_secs(10),
        }
    }

    /// Sets the bus; by default one within the process.
    pub fn with_bus(mut self, bus: Arc<dyn EventBus>) -> Self {
        self.bus = bus;
        self
    }

    /// Sets the plugins, which are initialised before any service starts.
    pub fn with_plugins(mut self, plugins: PluginHost) -> Self {
        self.plugins = Some(plugins);
        self
    }

    /// Adds something that the process leans on beside store and bus, such as a cache, to what
    /// [`health`](DaaOrchestrator::health) asks.
    pub fn with_probe(mut self, probe: Arc<dyn Probe>) -> Self {
        self.probes.push(probe);
        self
    }

    /// Adds a service that is not started again when it fails.
    pub fn with_service(mut self, service: impl Service + 'static) -> Self {
        let name = service.name();
        let mut only: Option<Box<dyn Service>> = Some(Box::new(service));
        let make: Factory = Box::new(move || only.take());
        self.services.push(Supervised { name, make, policy: RestartPolicy::NEVER });
        self
    }

    /// Adds a service that is made anew when it fails, as the policy says. `make` is called once at once, and
    /// must make services of one name.
    pub fn with_restarting_service<S: Service + 'static>(
        mut self,
        policy: RestartPolicy,
        mut make: impl FnMut() -> S + Send + 'static,
    ) -> Self {
        let first = make();
        let name = first.name();
        let mut first = Some(first);
        let make: Factory = Box::new(move || Some(Box::new(first.take().unwrap_or_else(&mut make))));
        self.services.push(Supervised { name, make, policy });
        self
    }

    /// How long services have to come to their end when they are told to; by default ten seconds.
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Checks that the store can be read, initialises the plugins, and starts the services in the order in which
    /// they were added. Needs a running tokio.
    ///
    /// # Errors
    /// [`StartError`], and nothing runs.
    ///
    /// # Cancel safety
    /// Plugins may stay initialised: shut their host down.
    pub async fn start(self) -> Result<DaaOrchestrator, StartError> {
        let mut names = BTreeSet::new();
        for service in &self.services {
            if !names.insert(&service.name) {
                return Err(StartError::DuplicateService { name: service.name.clone() });
            }
        }
        let limit = PATIENCE;
        let head = within(&*self.clock, limit, self.store.head()).await;
        head.ok_or(StartError::StoreTimedOut { limit })??;
        if let Some(plugins) = &self.plugins {
            plugins.initialize().await?;
        }
        let (trigger, shutdown) = ShutdownTrigger::new();
        let board = self.services.iter().map(|service| ServiceHealth::new(service.name.clone())).collect();
        let board = Arc::new(watch::Sender::new(board));
        let supervisors = self.services.into_iter().enumerate().map(|(index, service)| Supervisor {
            service,
            index,
            board: board.clone(),
            clock: self.clock.clone(),
            shutdown: shutdown.clone(),
        });
        let tasks = supervisors.map(|supervisor| tokio::spawn(supervisor.supervise())).collect();
        let mut probes: Vec<Arc<dyn Probe>> = vec![
            Arc::new(StoreProbe::new(self.store.clone(), self.clock.clone())),
            Arc::new(BusProbe::new(self.bus.clone())),
        ];
        probes.extend(self.probes);
        Ok(DaaOrchestrator {
            store: self.store,
            gate: self.gate,
            clock: self.clock,
            bus: self.bus,
            plugins: self.plugins,
            probes,
            grace: self.grace,
            board,
            tasks,
            trigger,
        })
    }
}

impl fmt::Debug for OrchestratorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.services.iter().map(|service| &service.name).collect();
        f.debug_struct("OrchestratorBuilder")
            .field("services", &services)
            .field("plugins", &self.plugins)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
