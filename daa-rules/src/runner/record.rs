//! What rules did, on record.

use daa_core::action::{Action, Context};
use daa_core::digest::Digest;
use daa_core::event::{DecodeError, RecordedEvent};
use daa_core::id::{RuleId, SourceId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::trigger::{Cause, Notified};

pub(crate) const FIRED: &str = "rules.fired.v1";
pub(crate) const NOTIFIED: &str = "rules.notified.v1";
pub(crate) const STATE: &str = "rules.runner.v1";

/// The stream of all notifications.
pub const NOTIFICATIONS_STREAM: &str = "rules.notifications";
/// What the names of the streams of firings begin with; the name of the runner follows.
pub const FIRED_STREAMS: &str = "rules.fired/";
/// What the names of the streams of runners' states begin with.
pub(crate) const STATES: &str = "rules.runner/";

/// A rule fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fired {
    /// The rule.
    pub rule: RuleId,
    /// The content hash of the rules that it is one of.
    pub ruleset: Digest,
    /// What triggered it.
    pub cause: Cause,
    /// How long the chain of causes is, this one included.
    pub depth: u8,
    /// What the rule saw, as it may be shown.
    #[serde(default, skip_serializing_if = "Context::is_empty")]
    pub given: Context,
    /// The parameters that it set.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Value>,
    /// What it notified of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notified: Option<Notified>,
    /// The action that it asked for. Whether that was performed is in the journal of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emitted: Option<Action>,
    /// The untrusted sources of the data that led to it, as the context of the action.
    #[serde(default, skip_serializing_if = "Context::is_empty")]
    pub context: Context,
    /// Why it did nothing, where it could not do what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Fired {
    /// Reads a recorded event; `None` when it is not about a rule that fired.
    ///
    /// # Errors
    /// [`DecodeError`] when it is, but does not decode.
    pub fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        if event.kind.as_str() == FIRED { event.json().map(Some) } else { Ok(None) }
    }

    /// Bytes of JSON of what is written of it: itself, and what it notifies of.
    pub(crate) fn size(&self) -> usize {
        let own = serde_json::to_vec(self).map_or(usize::MAX, |json| json.len());
        let told =
            self.notification().map(|told| serde_json::to_vec(&told).map_or(usize::MAX, |json| json.len()));
        own.saturating_add(told.unwrap_or_default())
    }

    /// It without the parameters of what it emitted, which are in the journal of that action.
    pub(crate) fn without_params(self) -> Self {
        let emitted =
            self.emitted.map(|action| match action.clone().with_params(Value::Object(Map::new())) {
                Ok(bare) => bare,
                // Nothing is smaller.
                Err(_) => action,
            });
        Self { emitted, ..self }
    }

    pub(super) fn notification(&self) -> Option<Notification> {
        let Notified { name, text, data } = self.notified.clone()?;
        let (rule, ruleset, cause) = (self.rule.clone(), self.ruleset, self.cause.clone());
        let sources = self.context.sources().cloned().collect();
        Some(Notification { name, text, data, rule, ruleset, cause, sources, depth: self.depth })
    }
}

/// A rule notified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notification {
    /// What it is called, as `[notification.NAME]` declares it.
    pub name: String,
    /// What people are told.
    pub text: String,
    /// What programs are told: what the ruleset declares, of the declared types.
    pub data: Map<String, Value>,
    /// The rule.
    pub rule: RuleId,
    /// The content hash of the rules that it is one of.
    pub ruleset: Digest,
    /// What triggered it.
    pub cause: Cause,
    /// The untrusted sources of what it tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceId>,
    /// How long the chain of causes is that led to it.
    pub depth: u8,
}

impl Notification {
    /// Reads a recorded event; `None` when it is no notification.
    ///
    /// # Errors
    /// [`DecodeError`] when it is, but does not decode.
    pub fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        if event.kind.as_str() == NOTIFIED { event.json().map(Some) } else { Ok(None) }
    }
}
