//! How the rules that match add up to a decision.

use std::collections::BTreeSet;
use std::fmt::Write;

use daa_core::action::{Decision, Obligation, Request};
use daa_core::id::{ActionKind, RuleId};

use crate::condition::Indeterminate;
use crate::ruleset::{Effect, OnIndeterminate, Rule};

/// Indeterminate permits that are named in a reason: a hostile ruleset must not make it long.
const NAMED: usize = 5;

/// The rules that count so far. What people read is written at the end, and only what is read.
#[derive(Default)]
pub(crate) struct Tally<'r> {
    /// Denials, and what would be one for all that is known.
    denied: Vec<(&'r Rule, Option<Indeterminate>)>,
    escalated: Vec<&'r Rule>,
    permitted: Vec<&'r Rule>,
    /// Permits that could not be decided, and why: the first of them.
    undecided: Vec<(&'r Rule, Indeterminate)>,
    /// Rules that could not be decided, and would hide something.
    unsure: Vec<&'r Rule>,
}

impl<'r> Tally<'r> {
    pub(crate) fn add(&mut self, rule: &'r Rule, holds: Result<bool, Indeterminate>) {
        if holds.is_err() && !rule.duties.redact.is_empty() {
            self.unsure.push(rule);
        }
        let why = match (holds, rule.effect()) {
            (Ok(false), _) => return,
            (Ok(true), Effect::Deny) => return self.denied.push((rule, None)),
            (Ok(true), Effect::Escalate) => return self.escalated.push(rule),
            (Ok(true), Effect::Permit) => return self.permitted.push(rule),
            (Err(why), _) => why,
        };
        match rule.on_indeterminate() {
            OnIndeterminate::Deny => self.denied.push((rule, Some(why))),
            OnIndeterminate::Escalate => self.escalated.push(rule),
            OnIndeterminate::Permit => self.permitted.push(rule),
            OnIndeterminate::Skip if self.undecided.len() < NAMED => self.undecided.push((rule, why)),
            OnIndeterminate::Skip => {}
        }
    }

    /// Whether no rule counts.
    pub(crate) const fn is_empty(&self) -> bool {
        self.denied.is_empty() && self.escalated.is_empty() && self.permitted.is_empty()
    }

    pub(crate) fn decision(&self, kind: &ActionKind) -> Decision {
        let told = |rule: &Rule, verb: &str| {
            rule.reason().map_or_else(|| format!("rule {} {verb} {kind}", rule.id()), ToOwned::to_owned)
        };
        match (self.denied.first(), self.escalated.first(), self.permitted.first()) {
            (Some((rule, Some(why))), ..) => Decision::Deny { reason: undecided(rule, why) },
            (Some((rule, None)), ..) => Decision::Deny { reason: told(rule, "denies") },
            (None, Some(rule), _) => Decision::Escalate { reason: told(rule, "escalates") },
            (None, None, Some(_)) => Decision::Permit,
            (None, None, None) => {
                let mut reason = format!("no rule permits {kind}");
                for (rule, why) in &self.undecided {
                    // Writing to a string does not fail.
                    let _ = write!(reason, "; {}", undecided(rule, why));
                }
                Decision::Deny { reason }
            }
        }
    }

    /// What a permission is bound to, by all rules that permit or escalate; `Err` where one of them cannot be met.
    pub(crate) fn obligations(&self, request: &Request<'_>) -> Result<Vec<Obligation>, String> {
        let mut all = Vec::new();
        for rule in self.escalated.iter().chain(&self.permitted).filter(|rule| !rule.duties.is_empty()) {
            let own = rule.duties.obligations(request);
            all.extend(own.map_err(|why| format!("rule {} cannot be met: {why}", rule.id()))?);
        }
        let sure = self.escalated.iter().chain(&self.permitted);
        all.extend(redaction(sure.chain(&self.unsure).copied()));
        Ok(all)
    }

    /// The rules that count, the decisive ones first.
    pub(crate) fn rules(&self) -> Vec<RuleId> {
        let count = self.denied.len() + self.escalated.len() + self.permitted.len();
        let mut rules = Vec::with_capacity(count);
        rules.extend(self.denied.iter().map(|(rule, _)| rule.id().clone()));
        rules.extend(self.escalated.iter().chain(&self.permitted).map(|rule| rule.id().clone()));
        rules
    }
}

/// What those must not show who show the action, by all of these rules.
pub(crate) fn redaction<'r>(rules: impl Iterator<Item = &'r Rule>) -> Option<Obligation> {
    let paths: BTreeSet<&String> = rules.flat_map(|rule| &rule.duties.redact).collect();
    (!paths.is_empty()).then(|| Obligation::Redact(paths.into_iter().cloned().collect()))
}

fn undecided(rule: &Rule, why: &Indeterminate) -> String {
    format!("rule {} ({}) is indeterminate: {why}", rule.id(), rule.effect())
}
