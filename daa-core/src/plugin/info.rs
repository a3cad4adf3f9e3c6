//! What a plugin says about itself.

use semver::{Version, VersionReq};

use super::contract::DaaPlugin;
use crate::id::PluginName;

/// Another plugin that must be initialised first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dependency {
    /// Its name.
    pub name: PluginName,
    /// Which versions of it will do.
    pub version: VersionReq,
}

impl Dependency {
    /// A need for another plugin, in one of these versions.
    #[must_use]
    pub const fn new(name: PluginName, version: VersionReq) -> Self {
        Self { name, version }
    }
}

/// What a plugin said when it was loaded.
#[derive(Clone, Debug)]
pub(super) struct PluginInfo {
    pub(super) name: PluginName,
    pub(super) version: Version,
    pub(super) dependencies: Vec<Dependency>,
}

impl PluginInfo {
    pub(super) fn of(plugin: &dyn DaaPlugin) -> Self {
        Self { name: plugin.name(), version: plugin.version(), dependencies: plugin.dependencies() }
    }
}
