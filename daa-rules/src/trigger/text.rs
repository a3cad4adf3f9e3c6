//! What triggered rules do, for people.

use std::fmt;

use super::case::{ExplainedTrigger, TriggerExplanation};
use crate::explain::RuleOutcome;
use crate::runner::Fired;

impl fmt::Display for TriggerExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cut {
            writeln!(f, "more happens than is looked at")?;
        }
        if self.rules.is_empty() {
            return writeln!(f, "no rule is triggered");
        }
        self.rules.iter().try_for_each(|rule| rule.fmt(f))?;
        self.fired.iter().try_for_each(|fired| fired.fmt(f))
    }
}

impl fmt::Display for ExplainedTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, at, trigger, outcome, condition } = self;
        write!(f, "rule {id} ({trigger}, line {}) ", at.line)?;
        match outcome {
            RuleOutcome::Matched => writeln!(f, "matched")?,
            RuleOutcome::NotMatched => writeln!(f, "did not match")?,
            RuleOutcome::Indeterminate { why } => writeln!(f, "is indeterminate: {why}")?,
        }
        condition.iter().try_for_each(|condition| crate::explain::write_part(f, condition, 2))
    }
}

impl fmt::Display for Fired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, set, notified, emitted, problem, .. } = self;
        writeln!(f, "* rule {rule} fired")?;
        for (name, value) in set {
            writeln!(f, "    sets {name} to {value}")?;
        }
        if let Some(notified) = notified {
            writeln!(f, "    notifies {}: {}", notified.name, notified.text)?;
        }
        if let Some(action) = emitted {
            writeln!(f, "    emits {} {}", action.kind(), action.params())?;
        }
        problem.iter().try_for_each(|problem| writeln!(f, "    does nothing: {problem}"))
    }
}
