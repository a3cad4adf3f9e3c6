//! What an expression may be about: it depends on what triggers its rule.

use std::sync::Arc;

use crate::attribute::Type;
use crate::schema::Params;

/// All names that expressions begin with, whatever they are about: no variable of a macro has one of them.
pub(super) const ROOTS: [&str; 11] = [
    "action",
    "context",
    "plan",
    "window",
    "seen",
    "sequence",
    "parameter",
    "decision",
    "event",
    "schedule",
    "threshold",
];
/// What is told of that which triggered a rule.
pub(super) const OCCURRED: [&str; 4] = ["decision", "event", "schedule", "threshold"];

/// What an expression may be about.
#[derive(Clone, Debug)]
pub(crate) enum About<'s> {
    /// An action that is to be decided on.
    Action(Params<'s>),
    /// An action that was decided on.
    Decided(Params<'s>),
    /// An event with this data.
    Event(Params<'s>),
    /// An occurrence of a schedule.
    Schedule,
    /// A value, of this type, that crossed a bound.
    Threshold(Type),
    /// Nothing that happened: the value of a threshold.
    Value,
}

impl About<'_> {
    pub(super) const fn params(&self) -> &Params<'_> {
        match self {
            Self::Action(params) | Self::Decided(params) | Self::Event(params) => params,
            Self::Schedule | Self::Threshold(_) | Self::Value => &Params::Any,
        }
    }

    /// The names that its expressions begin with.
    pub(super) const fn roots(&self) -> &'static [&'static str] {
        match self {
            Self::Action(_) => &["action", "context", "plan", "window", "seen", "sequence", "parameter"],
            Self::Decided(_) => {
                &["action", "context", "plan", "window", "seen", "sequence", "parameter", "decision"]
            }
            Self::Event(_) => &["event", "context", "window", "parameter"],
            Self::Schedule => &["schedule", "context", "window", "parameter"],
            Self::Threshold(_) => &["threshold", "context", "window", "parameter"],
            Self::Value => &["context", "window", "parameter"],
        }
    }

    /// Whether there is an action, whose windows can be told by their keys.
    pub(crate) const fn has_action(&self) -> bool {
        matches!(self, Self::Action(_) | Self::Decided(_))
    }

    pub(super) const fn what(&self) -> &'static str {
        match self {
            Self::Action(_) => "a condition",
            Self::Decided(_) => "what is triggered by a decision",
            Self::Event(_) => "what is triggered by an event",
            Self::Schedule => "what is triggered by a schedule",
            Self::Threshold(_) => "what is triggered by a threshold",
            Self::Value => "the value of a threshold",
        }
    }

    /// What is told under a name of [`OCCURRED`].
    pub(super) fn told(&self, root: &str) -> Vec<(&'static str, Type)> {
        match (self, root) {
            (Self::Decided(_), "decision") => {
                let effects = ["permit", "deny", "escalate"].map(ToOwned::to_owned);
                vec![("effect", Type::Enum(effects.into())), ("rules", Type::List(Arc::new(Type::String)))]
            }
            (Self::Event(_), "event") => {
                vec![("kind", Type::String), ("stream", Type::String), ("at", Type::Int)]
            }
            (Self::Schedule, "schedule") => vec![("at", Type::Int)],
            (Self::Threshold(kind), "threshold") => vec![("value", kind.clone())],
            _ => Vec::new(),
        }
    }
}
