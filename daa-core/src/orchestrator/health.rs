//! How everything is.

use super::service::ServiceName;
use crate::clock::Timestamp;
use crate::event::Position;
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

/// Whether the event store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreHealth {
    /// It does, and stands here.
    Reachable {
        /// The position of its last event.
        head: Position,
    },
    /// It does not.
    Unreachable {
        /// Why, for people.
        error: String,
    },
}

/// How everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The services, in the order in which they were added.
    pub services: Vec<ServiceHealth>,
    /// The plugins, in the order of initialisation.
    pub plugins: Vec<PluginStatus>,
    /// The event store.
    pub store: StoreHealth,
}

impl Health {
    /// Whether the store answers and no service or plugin has failed or is being started again.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let failed = |state: &ServiceState| {
            matches!(state, ServiceState::Failed { .. } | ServiceState::Resting { .. })
        };
        matches!(self.store, StoreHealth::Reachable { .. })
            && !self.services.iter().any(|service| failed(&service.state))
            && !self.plugins.iter().any(|plugin| matches!(plugin.state, PluginState::Failed { .. }))
    }
}
