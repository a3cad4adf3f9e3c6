//! What the probes found.

use std::fmt;

use super::{Condition, Without};

/// How one part is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartHealth {
    /// What was asked.
    pub part: String,
    /// What happens without it.
    pub without: Without,
    /// How it is.
    pub condition: Condition,
}

/// How all parts are. Its text has a line for each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthReport {
    /// The parts, in the order in which they were asked.
    pub parts: Vec<PartHealth>,
}

impl HealthReport {
    /// Whether the process takes work: nothing is missing without which it refuses it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.missing().all(|part| part.without != Without::Refuses)
    }

    /// Whether the process takes work, but does it worse than it could.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.is_ready() && self.missing().next().is_some()
    }

    /// The parts that cannot be used.
    pub fn missing(&self) -> impl Iterator<Item = &PartHealth> {
        self.parts.iter().filter(|part| !part.condition.is_ready())
    }
}

impl fmt::Display for PartHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, without, condition } = self;
        match condition {
            Condition::Ready { answered_in } if answered_in.is_zero() => write!(f, "{part}: ready"),
            Condition::Ready { answered_in } => write!(f, "{part}: ready, answered in {answered_in:.1?}"),
            Condition::Unavailable { reason } => write!(f, "{part}: away, {without}: {reason}"),
            Condition::Closed => write!(f, "{part}: closed, {without}"),
        }
    }
}

impl fmt::Display for HealthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            let end = if at + 1 < self.parts.len() { "\n" } else { "" };
            write!(f, "{part}{end}")?;
        }
        Ok(())
    }
}
