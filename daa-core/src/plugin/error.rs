//! What can go wrong with plugins.

use std::error::Error as StdError;
use std::time::Duration;

use semver::{Version, VersionReq};

use super::host::PluginStop;
use crate::action::MAX_PARAMS;
use crate::fault::{Fault, Reaction, Retry};
use crate::id::PluginName;

/// What a plugin returns when it cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// It has no such operation.
    #[error("operation {operation:?} is not supported")]
    Unsupported {
        /// What was asked for.
        operation: String,
    },
    /// The configuration or the parameters make no sense to it.
    #[error("the input is invalid")]
    Invalid {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Something that it depends on failed.
    #[error("the plugin failed")]
    Failed {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl PluginError {
    /// The configuration or the parameters make no sense.
    pub fn invalid(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Invalid { source: source.into() }
    }

    /// Something that the plugin depends on failed.
    pub fn failed(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Failed { source: source.into() }
    }
}

impl Reaction for PluginError {
    fn fault(&self) -> Fault {
        match self {
            Self::Unsupported { .. } | Self::Invalid { .. } => Fault::Caller,
            Self::Failed { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Unsupported { .. } | Self::Invalid { .. } => Retry::Never,
            Self::Failed { .. } => Retry::Later,
        }
    }
}

/// Why plugins do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Two plugins have one name.
    #[error("there are two plugins named {name}")]
    Duplicate {
        /// The name.
        name: PluginName,
    },
    /// A plugin needs one that is not there.
    #[error("plugin {plugin} needs {dependency} {required}, which is not loaded")]
    Missing {
        /// Who needs it.
        plugin: PluginName,
        /// What is missing.
        dependency: PluginName,
        /// Which versions would do.
        required: VersionReq,
    },
    /// A plugin needs another version of one.
    #[error("plugin {plugin} needs {dependency} {required}, but {found} is loaded")]
    Incompatible {
        /// Who needs it.
        plugin: PluginName,
        /// What it needs.
        dependency: PluginName,
        /// Which versions would do.
        required: VersionReq,
        /// Which version is loaded.
        found: Version,
    },
    /// Plugins need each other in a circle.
    #[error("plugins need each other in a circle: {}", circle(plugins))]
    Cycle {
        /// Each one needs the next, and the last one needs the first.
        plugins: Vec<PluginName>,
    },
    /// A configuration for a plugin that is not there.
    #[error("there is a configuration for plugin {name}, which is not loaded")]
    UnusedConfig {
        /// The name.
        name: PluginName,
    },
}

fn circle(plugins: &[PluginName]) -> String {
    let names = plugins.iter().chain(plugins.first()).map(PluginName::as_str);
    names.collect::<Vec<_>>().join(" -> ")
}

impl Reaction for LoadError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// What goes wrong between a host and a plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginHostError {
    /// A plugin did not get ready. Those that had are shut down again.
    #[error("plugin {plugin} could not be initialised")]
    Initialize {
        /// Which one.
        plugin: PluginName,
        /// Why.
        #[source]
        source: Box<Self>,
        /// How those that had been initialised were shut down, in that order.
        stopped: Vec<PluginStop>,
    },
    /// The plugin said no.
    #[error("plugin {plugin} returned an error")]
    Plugin {
        /// Which one.
        plugin: PluginName,
        /// What it said.
        #[source]
        source: PluginError,
    },
    /// The plugin panicked, is marked as failed, and is not called again.
    #[error("plugin {plugin} panicked: {message}")]
    Panicked {
        /// Which one.
        plugin: PluginName,
        /// What it said.
        message: String,
    },
    /// The call took too long and was dropped.
    #[error("plugin {plugin} took longer than {limit:?}")]
    TimedOut {
        /// Which one.
        plugin: PluginName,
        /// How long it was allowed.
        limit: Duration,
    },
    /// The parameters are too large; the plugin was not called.
    #[error("the input for plugin {plugin} takes {actual} bytes, at most {MAX_PARAMS} are allowed")]
    InputTooLarge {
        /// Which one.
        plugin: PluginName,
        /// Its size in bytes of JSON.
        actual: usize,
    },
    /// What the plugin answered is too large.
    #[error("the output of plugin {plugin} takes {actual} bytes, at most {MAX_PARAMS} are allowed")]
    OutputTooLarge {
        /// Which one.
        plugin: PluginName,
        /// Its size in bytes of JSON.
        actual: usize,
    },
    /// The plugin wants too much done at once.
    #[error("plugin {plugin} asks for {actual} actions at once, at most {limit} are allowed")]
    TooManyActions {
        /// Which one.
        plugin: PluginName,
        /// How many it asks for.
        actual: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// There is no such plugin.
    #[error("there is no plugin {plugin}")]
    NotLoaded {
        /// What was asked for.
        plugin: PluginName,
    },
    /// The plugin is not ready, was shut down, or has failed; it was not called.
    #[error("plugin {plugin} is not running")]
    NotRunning {
        /// Which one.
        plugin: PluginName,
    },
    /// The host was initialised before.
    #[error("the plugin host was initialised before")]
    AlreadyInitialized,
}

impl Reaction for PluginHostError {
    fn fault(&self) -> Fault {
        match self {
            Self::Initialize { source, .. } => source.fault(),
            Self::Plugin { source, .. } => source.fault(),
            Self::Panicked { .. } | Self::OutputTooLarge { .. } | Self::TooManyActions { .. } => Fault::Peer,
            Self::TimedOut { .. } => Fault::Environment,
            Self::InputTooLarge { .. }
            | Self::NotLoaded { .. }
            | Self::NotRunning { .. }
            | Self::AlreadyInitialized => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Plugin { source, .. } => source.retry(),
            Self::TimedOut { .. } => Retry::Later,
            // A host is initialised once: it takes a new one.
            Self::Initialize { .. }
            | Self::Panicked { .. }
            | Self::InputTooLarge { .. }
            | Self::OutputTooLarge { .. }
            | Self::TooManyActions { .. }
            | Self::NotLoaded { .. }
            | Self::NotRunning { .. }
            | Self::AlreadyInitialized => Retry::Never,
        }
    }
}
