//! How everything is.

use super::service::ServiceName;
use crate::clock::Timestamp;
use crate::health::HealthReport;
use crate::plugin::{PluginState, PluginStatus};

/// Where a service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceState {
    /// About to run.
    Starting,
    /// Running.
    Running,
    /// Failed, and about to be started again.
    Resting {
        /// Why it failed, for people.
        error: String,
        /// When it is started again.
        until: Timestamp,
    },
    /// Failed for good.
    Failed {
        /// Why, for people.
        error: String,
    },
    /// Came to its end.
    Stopped,
}

impl ServiceState {
    /// Whether it will not run again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Stopped)
    }
}

/// One service and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceHealth {
    /// Its name.
    pub name: ServiceName,
    /// Where it stands.
    pub state: ServiceState,
    /// How often it was started again.
    pub restarts: u32,
}

impl ServiceHealth {
    pub(super) const fn new(name: ServiceName) -> Self {
        Self { name, state: ServiceState::Starting, restarts: 0 }
    }
}

/// How everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The services, in the order in which they were added.
    pub services: Vec<ServiceHealth>,
    /// The plugins, in the order of initialisation.
    pub plugins: Vec<PluginStatus>,
    /// What the process leans on: event store and bus first, then the [probes](super::OrchestratorBuilder::with_probe)
    /// that were added.
    pub parts: HealthReport,
}

impl Health {
    /// Whether the process takes work: nothing is missing without which it refuses it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.parts.is_ready()
    }

    /// Whether everything answers, and no service or plugin has failed or is being started again.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let failed = |state: &ServiceState| {
            matches!(state, ServiceState::Failed { .. } | ServiceState::Resting { .. })
        };
        self.parts.missing().next().is_none()
            && !self.services.iter().any(|service| failed(&service.state))
            && !self.plugins.iter().any(|plugin| matches!(plugin.state, PluginState::Failed { .. }))
    }
}
