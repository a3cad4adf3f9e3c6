//! Which plugin comes before which: pure.

use std::collections::{BTreeMap, BTreeSet};

use super::error::LoadError;
use super::info::PluginInfo;
use crate::id::PluginName;

/// Puts plugins into an order in which each comes after everything that it needs, and otherwise by name, so that
/// it does not depend on the order in which they were added.
pub(super) fn initialization_order(plugins: &[PluginInfo]) -> Result<Vec<PluginName>, LoadError> {
    let mut by_name = BTreeMap::new();
    for plugin in plugins {
        if by_name.insert(&plugin.name, plugin).is_some() {
            return Err(LoadError::Duplicate { name: plugin.name.clone() });
        }
    }
    by_name.values().try_for_each(|plugin| check_dependencies(plugin, &by_name))?;
    let mut waiting = by_name.clone();
    let mut order: Vec<PluginName> = Vec::with_capacity(plugins.len());
    while !waiting.is_empty() {
        let is_ready = |plugin: &PluginInfo| needs(plugin).all(|name| !waiting.contains_key(name));
        let ready = waiting.values().find(|plugin| is_ready(plugin)).map(|plugin| plugin.name.clone());
        let Some(ready) = ready else { return Err(LoadError::Cycle { plugins: circle_in(&waiting) }) };
        waiting.remove(&ready);
        order.push(ready);
    }
    Ok(order)
}

fn needs(plugin: &PluginInfo) -> impl Iterator<Item = &PluginName> {
    plugin.dependencies.iter().map(|dependency| &dependency.name)
}

fn check_dependencies(
    plugin: &PluginInfo,
    by_name: &BTreeMap<&PluginName, &PluginInfo>,
) -> Result<(), LoadError> {
    for dependency in &plugin.dependencies {
        let (name, required) = (dependency.name.clone(), dependency.version.clone());
        let plugin = plugin.name.clone();
        match by_name.get(&name) {
            None => return Err(LoadError::Missing { plugin, dependency: name, required }),
            Some(found) if !required.matches(&found.version) => {
                let found = found.version.clone();
                return Err(LoadError::Incompatible { plugin, dependency: name, required, found });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Follows needs until one comes up again. Everything that waits needs something that waits, so there is one.
fn circle_in(waiting: &BTreeMap<&PluginName, &PluginInfo>) -> Vec<PluginName> {
    let mut path: Vec<PluginName> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut next = waiting.values().next().copied();
    while let Some(plugin) = next {
        if !seen.insert(&plugin.name) {
            return path.into_iter().skip_while(|name| *name != plugin.name).collect();
        }
        path.push(plugin.name.clone());
        next = needs(plugin).find_map(|name| waiting.get(name).copied());
    }
    path
}
