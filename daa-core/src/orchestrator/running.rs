//! A process that runs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;

use super::builder::OrchestratorBuilder;
use super::health::{Health, ServiceHealth, ServiceState};
use super::report::{OpenLeft, ServiceEnd, ShutdownReport};
use super::service::ServiceName;
use super::supervisor::Board;
use crate::action::Gate;
use crate::bus::EventBus;
use crate::clock::Clock;
use crate::event::EventStore;
use crate::failure_text::error_text;
use crate::health::{Probe, examine};
use crate::plugin::PluginHost;
use crate::resilience::within;
use crate::shutdown::ShutdownTrigger;

/// How long what the process leans on may take to say how it is.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long the list of open actions, which reads the whole log, may take at the end.
const LOG_PATIENCE: Duration = Duration::from_secs(30);
/// How long a task that was cut off may take to be gone.
const CUT_PATIENCE: Duration = Duration::from_secs(1);
/// How long the bus may take to close.
const BUS_PATIENCE: Duration = Duration::from_secs(5);

/// A running process: services, plugins, bus, gate and store.
///
/// Dropping it asks the services to end and waits for nothing; use [`Self::shutdown`].
#[derive(Debug)]
pub struct DaaOrchestrator {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) gate: Gate,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bus: Arc<dyn EventBus>,
    pub(super) plugins: Option<PluginHost>,
    pub(super) probes: Vec<Arc<dyn Probe>>,
    pub(super) grace: Duration,
    pub(super) board: Arc<Board>,
    pub(super) tasks: Vec<JoinHandle<()>>,
    pub(super) trigger: ShutdownTrigger,
}

impl DaaOrchestrator {
    /// Starts with what no process can do without. `gate` must write to `store`.
    pub fn builder(store: Arc<dyn EventStore>, gate: Gate, clock: Arc<dyn Clock>) -> OrchestratorBuilder {
        OrchestratorBuilder::new(store, gate, clock)
    }

    /// The event store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// The gate.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Arc<dyn EventBus> {
        &self.bus
    }

    /// The plugins, if there are any.
    #[must_use]
    pub const fn plugins(&self) -> Option<&PluginHost> {
        self.plugins.as_ref()
    }

    /// How everything is. Asks everything that the process leans on at once, and gives it five seconds.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn health(&self) -> Health {
        let parts = examine(&*self.clock, PATIENCE, &self.probes).await;
        let plugins = self.plugins.as_ref().map(PluginHost::status).unwrap_or_default();
        Health { services: self.board.borrow().clone(), plugins, parts }
    }

    /// Waits until no service runs or will run again.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn finished(&self) {
        let mut board = self.board.subscribe();
        let is_final =
            |services: &Vec<ServiceHealth>| services.iter().all(|service| service.state.is_final());
        // The sender lives in `self`, so waiting ends only when that is so.
        let _ = board.wait_for(is_final).await;
    }

    /// Brings everything to its end: services first, then plugins in reverse order, then the bus.
    ///
    /// All services are told at once and have the grace period; those that are left are cut off. It takes no
    /// longer than the grace period, the shutdown limits of the plugins, and 36 seconds for what does not
    /// answer.
    ///
    /// # Cancel safety
    /// When the future is dropped, services were told to end, and the rest may not be shut down.
    pub async fn shutdown(mut self) -> ShutdownReport {
        self.trigger.trigger();
        let services = self.end_services().await;
        let plugins = match &self.plugins {
            Some(plugins) => plugins.shutdown().await,
            None => Vec::new(),
        };
        let bus = match within(&*self.clock, BUS_PATIENCE, self.bus.close()).await {
            Some(closed) => closed.err().map(|error| error_text(&error)),
            None => Some(format!("not closed within {BUS_PATIENCE:?}")),
        };
        ShutdownReport { services, plugins, bus, open: self.open_actions().await }
    }

    async fn end_services(&mut self) -> Vec<(ServiceName, ServiceEnd)> {
        if within(&*self.clock, self.grace, join_all(&mut self.tasks)).await.is_none() {
            let left: Vec<_> = self.tasks.iter_mut().filter(|task| !task.is_finished()).collect();
            left.iter().for_each(|task| task.abort());
            within(&*self.clock, CUT_PATIENCE, join_all(left)).await;
        }
        let board = self.board.borrow();
        let ends = board.iter().zip(&self.tasks).map(|(service, task)| {
            let end = match &service.state {
                ServiceState::Stopped => ServiceEnd::Stopped,
                ServiceState::Failed { error } => ServiceEnd::Failed { error: error.clone() },
                _ if task.is_finished() => ServiceEnd::CutOff,
                _ => ServiceEnd::Stuck,
            };
            (service.name.clone(), end)
        });
        ends.collect()
    }

    async fn open_actions(&self) -> OpenLeft {
        match within(&*self.clock, LOG_PATIENCE, self.gate.open_actions()).await {
            Some(Ok(open)) => {
                OpenLeft::Actions(open.iter().map(|status| status.action.id().clone()).collect())
            }
            Some(Err(error)) => OpenLeft::Unknown { error: error_text(&error) },
            None => OpenLeft::Unknown { error: format!("no answer within {LOG_PATIENCE:?}") },
        }
    }
}
