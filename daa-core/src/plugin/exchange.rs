//! What goes into a plugin and what comes out.

use serde_json::Value;

use crate::action::{Action, MAX_PARAMS};

/// One call of a plugin: an operation of its own naming, and parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginInput {
    operation: String,
    params: Value,
}

impl PluginInput {
    /// A call without parameters.
    #[must_use]
    pub fn new(operation: impl Into<String>) -> Self {
        Self { operation: operation.into(), params: Value::Null }
    }

    /// Sets the parameters, at most [`MAX_PARAMS`](crate::action::MAX_PARAMS) bytes of JSON: the host checks.
    #[must_use]
    pub fn with_params(mut self, params: impl Into<Value>) -> Self {
        self.params = params.into();
        self
    }

    /// What the plugin is to do.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Value {
        &self.params
    }

    /// The parameters, taken out.
    #[must_use]
    pub fn into_params(self) -> Value {
        self.params
    }
}

/// What a plugin answers: a value, and what it wants done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginOutput {
    value: Value,
    actions: Vec<Action>,
}

impl PluginOutput {
    /// The most actions that one call may ask for.
    pub const MAX_ACTIONS: usize = 256;

    /// A value, at most [`MAX_PARAMS`](crate::action::MAX_PARAMS) bytes of JSON: the host checks.
    #[must_use]
    pub fn new(value: impl Into<Value>) -> Self {
        Self { value: value.into(), actions: Vec::new() }
    }

    /// Adds something that the plugin wants done, at most [`MAX_ACTIONS`](Self::MAX_ACTIONS) in all: the host
    /// checks.
    #[must_use]
    pub fn with_action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// The value.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// What the plugin wants done. Nothing of it is permitted yet.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// What the plugin wants done, taken out.
    #[must_use]
    pub fn into_actions(self) -> Vec<Action> {
        self.actions
    }
}

/// Checks a value against its bound; returns its size in bytes of JSON when that is beyond.
pub(super) fn check_size(value: &Value) -> Result<(), usize> {
    let actual = serde_json::to_vec(value).map_or(usize::MAX, |json| json.len());
    if actual > MAX_PARAMS { Err(actual) } else { Ok(()) }
}
