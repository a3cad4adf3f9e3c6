//! The contract of a plugin.

use std::sync::Arc;

use async_trait::async_trait;
use semver::Version;
use serde_json::Value;

use super::error::PluginError;
use super::exchange::{PluginInput, PluginOutput};
use super::info::Dependency;
use crate::action::Gate;
use crate::bus::EventBus;
use crate::clock::Clock;
use crate::id::PluginName;

/// A part that a [`PluginHost`](super::PluginHost) runs.
///
/// # Contract
///
/// An implementation must:
/// - return the same name, version and dependencies every time;
/// - bear being dropped at any `await`: calls have a time limit;
/// - release in [`shutdown`](Self::shutdown) what it acquired in [`initialize`](Self::initialize), and release what it
///   acquired before it returns an error from `initialize`, after which it is not shut down.
///
/// It must not block the thread, because then no time limit holds, and must not cause an effect in the world
/// other than through the [`Gate`] of its context.
///
/// `execute` may be called by several tasks at once.
#[async_trait]
pub trait DaaPlugin: Send + Sync {
    /// Its name, unique in its host.
    fn name(&self) -> PluginName;

    /// Its version.
    fn version(&self) -> Version;

    /// What it builds upon; by default nothing.
    fn dependencies(&self) -> Vec<Dependency> {
        Vec::new()
    }

    /// Gets ready. Called once, after everything that it builds upon was initialised.
    ///
    /// # Errors
    /// [`PluginError`] when it cannot be used.
    async fn initialize(&self, context: &PluginContext) -> Result<(), PluginError>;

    /// Answers a call.
    ///
    /// # Errors
    /// [`PluginError::Unsupported`] for an operation that it does not know, otherwise what went wrong. The plugin
    /// stays usable.
    async fn execute(&self, input: PluginInput) -> Result<PluginOutput, PluginError>;

    /// Lets go of everything. Called at most once, before anything that it builds upon is shut down.
    ///
    /// # Errors
    /// [`PluginError`] when something could not be let go in an orderly way; it is not called again.
    async fn shutdown(&self) -> Result<(), PluginError> {
        Ok(())
    }
}

/// What a plugin may use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PluginContext {
    /// Its configuration; null when there is none.
    pub config: Value,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The only way to an effect, if the plugin was given one.
    pub gate: Option<Gate>,
    /// The bus, if there is one.
    pub bus: Option<Arc<dyn EventBus>>,
}
