//! What went wrong in a cycle without ending it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure_text::{error_text, shortened};
use crate::id::{MetricName, StrategyName};

/// The most lapses that one cycle keeps.
pub const MAX_LAPSES: usize = 64;

/// A part of the agent that did not do its work in a cycle; the cycle went on without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lapse {
    /// Which part.
    pub part: Part,
    /// What went wrong.
    pub cause: Cause,
}

/// A part of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// A collector.
    Collector(MetricName),
    /// A strategy.
    Strategy(StrategyName),
    /// The reasoner.
    Reasoner,
    /// The reflector.
    Reflector,
    /// The adapter.
    Adapter,
}

/// Why a part did not do its work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// It returned an error.
    Failed(String),
    /// It took longer than it is allowed.
    TimedOut(Duration),
    /// It panicked.
    Panicked(String),
    /// What it returned is out of bounds, and was discarded.
    Invalid(String),
}

impl Lapse {
    pub(super) fn new(part: Part, cause: Cause) -> Self {
        Self { part, cause }
    }

    pub(super) fn failed(part: Part, error: &dyn std::error::Error) -> Self {
        Self { part, cause: Cause::Failed(error_text(error)) }
    }

    pub(super) fn invalid(part: Part, detail: &str) -> Self {
        Self { part, cause: Cause::Invalid(shortened(detail.to_owned())) }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collector(name) => write!(f, "collector {name}"),
            Self::Strategy(name) => write!(f, "strategy {name}"),
            Self::Reasoner => f.write_str("the reasoner"),
            Self::Reflector => f.write_str("the reflector"),
            Self::Adapter => f.write_str("the adapter"),
        }
    }
}

impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Failed(error) => write!(f, "{} failed: {error}", self.part),
            Cause::TimedOut(limit) => write!(f, "{} took longer than {limit:?}", self.part),
            Cause::Panicked(message) => write!(f, "{} panicked: {message}", self.part),
            Cause::Invalid(detail) => write!(f, "{}: {detail}", self.part),
        }
    }
}
