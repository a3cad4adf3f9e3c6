//! Why a decision is what it is: which rules matched, and what they saw.

mod redact;
mod text;

use daa_core::action::{Action, ActionEvent, Context, Decision, Obligation, Request, Verdict};
use daa_core::clock::Timestamp;
use daa_core::digest::Digest;
use daa_core::id::{ActionKind, RuleId};
use serde::Serialize;

use crate::condition::{Budget, Traced};
use crate::diagnostic::Location;
use crate::engine::RulesEngine;
use crate::ruleset::{Effect, Rule, Ruleset};

pub(crate) use text::{Told, write_part};

/// Rules that one explanation is about, those first that matched or could not be decided.
const EXPLAINED: usize = 200;

/// Why a request is decided as it is.
///
/// Shown it is a text for people; serialised it has the same as data.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// What is asked for.
    pub kind: ActionKind,
    /// What is decided, and by which ruleset. Where something is hidden, not in which streams it is counted.
    pub verdict: Verdict,
    /// What was decided when it happened; `None` for a request that was made up.
    pub recorded: Option<Recorded>,
    /// The rules about this kind of action: those that matched, those that are indeterminate, then others, each in the
    /// order in which they are reported.
    pub rules: Vec<ExplainedRule>,
    /// How many more rules are about this kind of action, and did not match.
    pub more: usize,
}

/// A decision that is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recorded {
    /// What was decided.
    pub verdict: Verdict,
    /// Whether the rules that explain are the rules that decided.
    pub same_ruleset: bool,
    /// Whether they decide the same.
    pub same_decision: bool,
}

/// What a rule came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainedRule {
    /// The rule.
    pub id: RuleId,
    /// Its effect.
    pub effect: Effect,
    /// Where it stands in the source that it was read from.
    pub at: Location,
    /// Whether it matched.
    #[serde(flatten)]
    pub outcome: RuleOutcome,
    /// Whether the decision is this rule's effect because it matched, or because it could not be decided.
    pub decisive: bool,
    /// Its condition with the values of its parts; `None` where it always matches.
    pub condition: Option<Part>,
}

/// Whether a rule matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
#[non_exhaustive]
pub enum RuleOutcome {
    /// Its condition was true.
    Matched,
    /// Its condition was false.
    NotMatched,
    /// Its condition had no value.
    Indeterminate {
        /// Why.
        why: String,
    },
}

/// A part of a condition, and what it saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Part {
    /// The part.
    pub text: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Why it has no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Its parts, except literals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Self>,
}

/// The decision that an event of an action's journal holds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Decided<'e> {
    /// What was asked for.
    pub action: &'e Action,
    /// What was known beside it.
    pub context: &'e Context,
    /// What was decided.
    pub verdict: &'e Verdict,
}

impl<'e> Decided<'e> {
    /// The decision in an event; `None` for events that hold none.
    #[must_use]
    pub const fn of(event: &'e ActionEvent) -> Option<Self> {
        match event {
            ActionEvent::Permitted { action, context, verdict, .. }
            | ActionEvent::Withheld { action, context, verdict, .. }
            | ActionEvent::Refused { action, context, verdict, .. } => {
                Some(Self { action, context, verdict })
            }
            _ => None,
        }
    }

    /// The request that was decided, as of `now`.
    #[must_use]
    pub const fn request(&self, now: Timestamp) -> Request<'e> {
        Request::new(self.action, self.context, now).with_given(&self.verdict.given)
    }

    /// What the [rules](RulesEngine::PART) decided, where [others](daa_core::action::AllOf) decided with them.
    #[must_use]
    pub fn by_rules(&self) -> Self {
        Self { verdict: self.verdict.part(RulesEngine::PART), ..*self }
    }
}

impl Ruleset {
    /// Why these rules decide a request as they do.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        self.explain_without(request, &[])
    }

    /// The same, without what these hide, besides what these rules do.
    fn explain_without(&self, request: &Request<'_>, hidden: &[Obligation]) -> Explanation {
        let verdict = self.decide(request);
        let hidden = [hidden, &verdict.obligations].concat();
        let mut budget = Budget::new();
        let kind = request.action.kind();
        let about = self.index().about(kind).filter_map(|at| self.rules().get(at));
        let mut rules: Vec<(&Rule, RuleOutcome)> = about
            .map(|rule| {
                let outcome = match rule.holds(request, &mut budget) {
                    Ok(true) => RuleOutcome::Matched,
                    Ok(false) => RuleOutcome::NotMatched,
                    Err(why) => RuleOutcome::Indeterminate { why: why.to_string() },
                };
                (rule, outcome)
            })
            .collect();
        // Stable: within each they stay in the order in which they are reported.
        rules.sort_by_key(|(_, outcome)| match outcome {
            RuleOutcome::Matched => 0,
            RuleOutcome::Indeterminate { .. } => 1,
            RuleOutcome::NotMatched => 2,
        });
        let more = rules.len().saturating_sub(EXPLAINED);
        rules.truncate(EXPLAINED);
        let rules = rules
            .into_iter()
            .map(|(rule, outcome)| explained(rule, outcome, request, &verdict, &hidden))
            .collect();
        Explanation { kind: kind.clone(), verdict: shown(verdict, &hidden), recorded: None, rules, more }
    }

    /// Why these rules decide what is on record as they do, and whether that is what they decided. What was not to be shown
    /// when it was decided is not shown, whatever these rules say.
    #[must_use]
    pub fn explain_recorded(&self, decided: &Decided<'_>, at: Timestamp) -> Explanation {
        // Of all policies that decided together.
        let hidden = &decided.verdict.obligations;
        let decided = decided.by_rules();
        let explanation = self.explain_without(&decided.request(at), hidden);
        let recorded = Recorded {
            verdict: shown(decided.verdict.clone(), hidden),
            same_ruleset: decided.verdict.ruleset == self.digest(),
            same_decision: decided.verdict.decision == explanation.verdict.decision
                && decided.verdict.rules == explanation.verdict.rules,
        };
        Explanation { recorded: Some(recorded), ..explanation }
    }
}

impl Explanation {
    /// The hash of the rules that explain.
    #[must_use]
    pub const fn ruleset(&self) -> Digest {
        self.verdict.ruleset
    }
}

/// The verdict without the streams in which the action is counted, where something is hidden: they are named by digests of
/// what it is counted by.
fn shown(mut verdict: Verdict, hidden: &[Obligation]) -> Verdict {
    if hidden.iter().any(|obligation| matches!(obligation, Obligation::Redact(_))) {
        verdict.counts.clear();
    }
    verdict
}

fn explained(
    rule: &Rule,
    outcome: RuleOutcome,
    request: &Request<'_>,
    verdict: &Verdict,
    hidden: &[Obligation],
) -> ExplainedRule {
    let counts = match (&outcome, &verdict.decision) {
        (RuleOutcome::Matched, decision) => rule.effect() == effect(decision),
        (RuleOutcome::Indeterminate { .. }, decision) => {
            rule.on_indeterminate().effect() == Some(effect(decision))
        }
        (RuleOutcome::NotMatched, _) => false,
    };
    let mut condition = rule.condition.as_ref().map(|condition| Part::of(condition.trace(request)));
    let mut outcome = outcome;
    if let Some(condition) = &mut condition {
        condition.redact(hidden, &mut outcome);
    }
    let (id, effect, at) = (rule.id().clone(), rule.effect(), rule.location());
    ExplainedRule { id, effect, at, decisive: counts, condition, outcome }
}

/// The effect that a decision is.
pub(crate) const fn effect(decision: &Decision) -> Effect {
    match decision {
        Decision::Permit => Effect::Permit,
        Decision::Deny { .. } => Effect::Deny,
        Decision::Escalate { .. } => Effect::Escalate,
    }
}

impl Part {
    pub(crate) fn of(traced: Traced) -> Self {
        let Traced { text, value, parts } = traced;
        let (value, why) = match value {
            Ok(value) => (Some(value), None),
            Err(why) => (None, Some(why)),
        };
        Self { text, value, why, parts: parts.into_iter().map(Self::of).collect() }
    }
}
