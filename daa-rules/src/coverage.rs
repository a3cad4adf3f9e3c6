//! Which rules some requests reach.

use daa_core::action::{Decision, Request, Verdict};
use daa_core::id::RuleId;
use serde::Serialize;

use crate::condition::Budget;
use crate::diagnostic::Location;
use crate::explain::{RuleOutcome, effect};
use crate::ruleset::{Effect, Ruleset};

/// How often each rule of a ruleset matched, and mattered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Coverage {
    /// Each rule that decides, in the order of the file.
    pub rules: Vec<RuleCoverage>,
    /// Each rule that does something, in the order of the file; it is decisive whenever it fires.
    pub triggered: Vec<RuleCoverage>,
}

/// How often a rule matched, and mattered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RuleCoverage {
    /// The rule.
    pub id: RuleId,
    /// Where it stands in the source that it was read from.
    pub at: Location,
    /// How often it matched.
    pub matched: u64,
    /// How often it could not be decided.
    pub indeterminate: u64,
    /// How often the decision was its effect.
    pub decisive: u64,
}

impl Coverage {
    pub(crate) fn of(ruleset: &Ruleset) -> Self {
        let none =
            |id: &RuleId, at| RuleCoverage { id: id.clone(), at, matched: 0, indeterminate: 0, decisive: 0 };
        let rules = ruleset.rules().iter().map(|rule| none(rule.id(), rule.location()));
        let triggered = ruleset.triggered().iter().map(|rule| none(rule.id(), rule.location()));
        Self { rules: rules.collect(), triggered: triggered.collect() }
    }

    /// Counts what a rule that does something came to.
    pub(crate) fn note(&mut self, rule: &RuleId, outcome: &RuleOutcome, fired: bool) {
        let Some(count) = self.triggered.iter_mut().find(|count| count.id == *rule) else { return };
        match outcome {
            RuleOutcome::Matched => count.matched += 1,
            RuleOutcome::Indeterminate { .. } => count.indeterminate += 1,
            RuleOutcome::NotMatched => {}
        }
        count.decisive += u64::from(fired);
    }

    /// Rules that never matched.
    pub fn never_matched(&self) -> impl Iterator<Item = &RuleCoverage> {
        self.rules.iter().chain(&self.triggered).filter(|rule| rule.matched == 0)
    }

    /// Rules that matched, and never mattered.
    pub fn never_decisive(&self) -> impl Iterator<Item = &RuleCoverage> {
        let all = self.rules.iter().chain(&self.triggered);
        all.filter(|rule| rule.matched > 0 && rule.decisive == 0)
    }

    /// Decides, and counts the rules that took part in it.
    pub(crate) fn decide(&mut self, ruleset: &Ruleset, request: &Request<'_>) -> Verdict {
        let verdict = ruleset.decide(request);
        let decided = effect(&verdict.decision);
        let is_denied = matches!(verdict.decision, Decision::Deny { .. });
        let mut budget = Budget::new();
        for at in ruleset.index().candidates(request) {
            let (Some(rule), Some(count)) = (ruleset.rules().get(at), self.rules.get_mut(at)) else {
                continue;
            };
            match rule.holds(request, &mut budget) {
                Ok(false) => {}
                Ok(true) => {
                    count.matched += 1;
                    count.decisive += u64::from(rule.effect() == decided);
                }
                Err(_) => {
                    count.indeterminate += 1;
                    count.decisive += u64::from(is_denied && rule.effect() != Effect::Permit);
                }
            }
        }
        verdict
    }
}
