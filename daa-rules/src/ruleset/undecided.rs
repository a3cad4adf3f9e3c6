//! What a rule does when its condition cannot be decided.

use daa_core::digest::DigestBuilder;

use super::Effect;

/// What a rule does when its condition is neither true nor false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnIndeterminate {
    /// It denies.
    Deny,
    /// It leaves the decision to somebody else.
    Escalate,
    /// It permits: only for what does no harm.
    Permit,
    /// It counts as if it did not match.
    Skip,
}

impl OnIndeterminate {
    pub(crate) const NAMES: &'static str = "deny, escalate, permit, skip";

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "deny" => Self::Deny,
            "escalate" => Self::Escalate,
            "permit" => Self::Permit,
            "skip" => Self::Skip,
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Escalate => "escalate",
            Self::Permit => "permit",
            Self::Skip => "skip",
        }
    }

    /// What it comes to.
    pub(crate) const fn effect(self) -> Option<Effect> {
        match self {
            Self::Deny => Some(Effect::Deny),
            Self::Escalate => Some(Effect::Escalate),
            Self::Permit => Some(Effect::Permit),
            Self::Skip => None,
        }
    }

    /// Adds it to a digest, where it is not what goes without saying.
    pub(crate) fn describe(self, effect: Effect, out: &mut DigestBuilder) {
        if self != Self::of(effect) {
            out.add(b"on indeterminate");
            out.add(self.name().as_bytes());
        }
    }

    /// Where a rule does not say: nothing is permitted by what is not known, and nothing let through.
    pub(crate) const fn of(effect: Effect) -> Self {
        match effect {
            Effect::Permit => Self::Skip,
            Effect::Deny | Effect::Escalate => Self::Deny,
        }
    }
}
