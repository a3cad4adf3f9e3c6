//! What rules would have done that do something, against what they did.

use std::collections::BTreeMap;
use std::fmt;

use daa_core::action::ActionEvent;
use daa_core::event::{DecodeError, Position, RecordedEvent};
use daa_core::id::RuleId;
use serde::Serialize;

use super::EXAMPLES;
use crate::condition::Budget;
use crate::coverage::Coverage;
use crate::explain::RuleOutcome;
use crate::parameters::{ParametersSet, Values};
use crate::ruleset::Ruleset;
use crate::runner::Fired;
use crate::trigger::{Stimulus, TriggeredRule};

/// Events of which it is remembered what they would have triggered, until it is on record what they did.
const REMEMBERED: usize = 10_000;

/// What rules would have done, against what they did. Rates and the length of chains are not looked at, and of schedules
/// and thresholds only those firings that are on record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Firings {
    /// Firings on record.
    pub recorded: u64,
    /// How many of them would have been.
    pub same: u64,
    /// Those that would not have been.
    pub gone: u64,
    /// Firings that would have been, and are not on record.
    pub new: u64,
    /// The first of those that are gone or new.
    pub examples: Vec<FiringChange>,
}

/// A firing that would have been, or would not have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FiringChange {
    /// The rule.
    pub rule: RuleId,
    /// Where its cause stands in the log; `None` for times and thresholds.
    pub position: Option<Position>,
    /// Whether it would have fired.
    pub would_fire: bool,
}

/// What is remembered on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct FiringTest {
    parameters: Values,
    /// What events would have triggered; `false` where that depends on what only a firing on record tells.
    expected: BTreeMap<(Position, RuleId), bool>,
    decisions: BTreeMap<Position, RecordedEvent>,
}

impl FiringTest {
    pub(super) fn observe(
        &mut self,
        rules: &Ruleset,
        recorded: &RecordedEvent,
        report: &mut Firings,
        coverage: &mut Coverage,
    ) -> Result<(), DecodeError> {
        if let Some(set) = ParametersSet::read(recorded)? {
            self.parameters = Values::after(recorded.version, set);
        }
        if let Some(fired) = Fired::read(recorded)? {
            self.fired(rules, &fired, report);
            return Ok(());
        }
        let kind = recorded.kind.as_str();
        if !rules.is_triggered_by(kind) {
            return Ok(());
        }
        if let Some(event) = ActionEvent::read(recorded)?
            && let Some(stimulus) = Stimulus::decision(&event, recorded, recorded.at)
        {
            let action = stimulus.action.clone();
            let about: Vec<_> = rules.triggered_by_decision(&action).collect();
            if !about.is_empty() {
                self.decisions.insert(recorded.position, recorded.clone());
                self.triggered(&about, &stimulus, recorded.position, report, coverage);
            }
        }
        let about: Vec<_> = rules.triggered_by_event(kind).collect();
        if let Ok(stimulus) = Stimulus::event(recorded, None, about.iter().copied(), recorded.at)
            && !about.is_empty()
        {
            let given = self.parameters.give(rules.parameters().iter(), daa_core::action::Context::new());
            let stimulus = stimulus.with_given(&given);
            self.triggered(&about, &stimulus, recorded.position, report, coverage);
        }
        Ok(())
    }

    fn triggered(
        &mut self,
        rules: &[&TriggeredRule],
        stimulus: &Stimulus,
        position: Position,
        report: &mut Firings,
        coverage: &mut Coverage,
    ) {
        let mut budget = Budget::new();
        for rule in rules {
            let (outcome, would) = match rule.holds(&stimulus.request(), &mut budget) {
                Ok(false) => (RuleOutcome::NotMatched, None),
                Ok(true) => (RuleOutcome::Matched, Some(true)),
                Err(why) => (RuleOutcome::Indeterminate { why: why.to_string() }, Some(false)),
            };
            coverage.note(rule.id(), &outcome, would == Some(true));
            if let Some(would) = would {
                self.expected.insert((position, rule.id().clone()), would);
            }
        }
        while self.expected.len() > REMEMBERED {
            let Some(((position, rule), would)) = self.expected.pop_first() else { break };
            report.missing(rule, position, would);
        }
        while self.decisions.len() > REMEMBERED {
            self.decisions.pop_first();
        }
    }

    fn fired(&mut self, rules: &Ruleset, fired: &Fired, report: &mut Firings) {
        report.recorded += 1;
        let position = fired.cause.position();
        let known = position.and_then(|at| self.expected.remove(&(at, fired.rule.clone())));
        let again = || {
            let rule = rules.triggered().iter().find(|rule| *rule.id() == fired.rule)?;
            let decision = position.and_then(|at| self.decisions.get(&at));
            let stimulus = rules.stimulus_of(rule, fired, decision)?;
            rule.holds(&stimulus.request(), &mut Budget::new()).ok()
        };
        let would = match (known, position) {
            (Some(true), _) => true,
            (Some(false), _) | (None, None) => again().unwrap_or(false),
            (None, Some(_)) => false,
        };
        if would {
            report.same += 1;
        } else {
            report.gone += 1;
            report.example(FiringChange { rule: fired.rule.clone(), position, would_fire: false });
        }
    }

    /// What was never on record is new.
    pub(super) fn end(self, report: &mut Firings) {
        for ((position, rule), would) in self.expected {
            report.missing(rule, position, would);
        }
    }
}

impl Firings {
    fn missing(&mut self, rule: RuleId, position: Position, would: bool) {
        if would {
            self.new += 1;
            self.example(FiringChange { rule, position: Some(position), would_fire: true });
        }
    }

    fn example(&mut self, change: FiringChange) {
        if self.examples.len() < 2 * EXAMPLES {
            self.examples.push(change);
        }
    }

    /// Whether a rule would have done something else than it did.
    #[must_use]
    pub const fn differ(&self) -> bool {
        self.gone > 0 || self.new > 0
    }
}

impl fmt::Display for Firings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recorded, same, gone, new, examples } = self;
        if *recorded == 0 && *new == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "{recorded} times a rule fired, {same} of them it would again, {gone} not; {new} times one would that did not"
        )?;
        for FiringChange { rule, position, would_fire } in examples {
            let at = position.map(|at| format!(" at {at}")).unwrap_or_default();
            let would = if *would_fire { "would fire" } else { "would not fire" };
            writeln!(f, "  {rule}{at} {would}")?;
        }
        Ok(())
    }
}
