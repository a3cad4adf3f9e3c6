//! How the end went.

use super::service::ServiceName;
use crate::id::ActionId;
use crate::plugin::PluginStop;

/// How a service came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceEnd {
    /// By itself, in the grace period or before.
    Stopped,
    /// With an error or a panic.
    Failed {
        /// Why, for people.
        error: String,
    },
    /// It was cut off when the grace period was over. What it was doing is left reconcilable.
    CutOff,
    /// It was to be cut off, but it blocks its thread and is still there.
    Stuck,
}

/// The actions without a last word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenLeft {
    /// These, to be submitted again or reconciled at the next start.
    Actions(Vec<ActionId>),
    /// The store could not be asked.
    Unknown {
        /// Why, for people.
        error: String,
    },
}

/// How everything was shut down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it says what was left unfinished"]
pub struct ShutdownReport {
    /// How each service ended, in the order in which they were added.
    pub services: Vec<(ServiceName, ServiceEnd)>,
    /// How each plugin ended, in that order.
    pub plugins: Vec<PluginStop>,
    /// Why the bus did not close in an orderly way, for people; `None` when it did.
    pub bus: Option<String>,
    /// The actions of the store that are permitted, attempted or uncertain.
    pub open: OpenLeft,
}

impl ShutdownReport {
    /// Whether everything came to its end by itself, and no action was left without an outcome.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        self.services.iter().all(|(_, end)| *end == ServiceEnd::Stopped)
            && self.plugins.iter().all(|plugin| plugin.error.is_none())
            && self.bus.is_none()
            && self.open == OpenLeft::Actions(Vec::new())
    }
}
