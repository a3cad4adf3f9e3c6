//! Explanations for people.

use std::fmt;

use daa_core::action::{Decision, Verdict};

use super::{ExplainedRule, Explanation, Part, Recorded, RuleOutcome};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.kind, Told(&self.verdict))?;
        if let Some(recorded) = &self.recorded {
            write!(f, "{recorded}")?;
        }
        for rule in &self.rules {
            write!(f, "{rule}")?;
        }
        match self.more {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more rules about {}, which are not shown", self.kind),
        }
    }
}

/// A verdict in one line.
pub(crate) struct Told<'v>(pub(crate) &'v Verdict);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.decision {
            Decision::Permit => f.write_str("permit"),
            Decision::Deny { reason } => write!(f, "deny, because {reason}"),
            Decision::Escalate { reason } => write!(f, "escalate, because {reason}"),
        }
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, same_ruleset, same_decision } = self;
        let rules = if *same_ruleset { "these rules" } else { "other rules" };
        if *same_decision {
            writeln!(f, "  on record: the same, by {rules} ({})", verdict.ruleset.short())
        } else {
            writeln!(f, "  on record: {}, by {rules} ({})", Told(verdict), verdict.ruleset.short())
        }
    }
}

impl fmt::Display for ExplainedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.decisive { '*' } else { ' ' };
        let Self { id, effect, at, .. } = self;
        match &self.outcome {
            RuleOutcome::Matched => writeln!(f, "{mark} rule {id} ({effect}, line {}) matched", at.line)?,
            RuleOutcome::NotMatched => {
                writeln!(f, "{mark} rule {id} ({effect}, line {}) did not match", at.line)?
            }
            RuleOutcome::Indeterminate { why } => {
                writeln!(f, "{mark} rule {id} ({effect}, line {}) is indeterminate: {why}", at.line)?;
            }
        }
        self.condition.iter().try_for_each(|condition| write_part(f, condition, 2))
    }
}

/// A part of a condition and its own parts, each in a line.
pub(crate) fn write_part(f: &mut fmt::Formatter<'_>, part: &Part, depth: usize) -> fmt::Result {
    let indent = "  ".repeat(depth);
    match (&part.value, &part.why) {
        (Some(value), _) => writeln!(f, "{indent}{value} <- {}", part.text)?,
        (None, why) => writeln!(f, "{indent}? <- {} ({})", part.text, why.as_deref().unwrap_or("unknown"))?,
    }
    part.parts.iter().try_for_each(|inner| write_part(f, inner, depth + 1))
}
