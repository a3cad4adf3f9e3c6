//! What a ruleset says that its author hardly means: rules that never match or never count.
//!
//! Each finding is right. Not everything is found: see the section on analysis in the design of rules.

use std::collections::HashMap;

use daa_core::suggest::nearest;

use super::{Effect, Place, Rule, Ruleset};
use crate::condition::{Condition, Literal, Logic, Never, Wanted};
use crate::diagnostic::{Diagnostic, Severity};
use crate::pattern::{Form, KindPattern};
use crate::problem::Problem;
use crate::schema::Params;
use crate::trigger::{Trigger, TriggeredRule};

/// Pairs of rules that are compared: a ruleset of ten thousand rules without equality tests would take long.
const PAIRS: usize = 1_000_000;

impl Ruleset {
    /// Looks for rules that never match or never count, and for what is not protected against a missing attribute.
    ///
    /// These are warnings: the ruleset says what it says. They are in the order of the rules.
    #[must_use]
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut checker = Checker { ruleset: self, findings: Vec::new() };
        let rules: Vec<Looked<'_>> = self.rules.iter().map(|rule| checker.look_at(rule)).collect();
        self.triggered().iter().for_each(|rule| checker.look_at_triggered(rule));
        checker.duplicates();
        checker.overridden(&rules);
        checker.findings.sort_by_key(|finding| finding.at);
        checker.findings
    }
}

struct Checker<'r> {
    ruleset: &'r Ruleset,
    findings: Vec<Diagnostic>,
}

/// A rule, and its condition where it can be true.
struct Looked<'r> {
    rule: &'r Rule,
    logic: Option<Logic<'r>>,
}

impl<'r> Checker<'r> {
    fn warn(&mut self, rule: &Rule, is_condition: bool, problem: Problem) {
        let at = if is_condition { rule.when_at.0 } else { rule.at.0 };
        self.findings.push(Diagnostic { severity: Severity::Warning, at, problem });
    }

    fn look_at(&mut self, rule: &'r Rule) -> Looked<'r> {
        let schema = &self.ruleset.schema;
        if schema.is_stranger(&rule.on) {
            let kinds: Vec<String> = schema.kinds.iter().map(|kind| kind.pattern.to_string()).collect();
            let pattern = rule.on.to_string();
            let suggestion = nearest(&pattern, kinds.iter().map(String::as_str));
            self.warn(rule, false, Problem::UnknownKind { pattern, suggestion });
        }
        let kind = match rule.on.form() {
            Form::Exact(kind) => Some(kind.as_str()),
            Form::Prefix(_) => None,
        };
        let logic = match Condition::logic(rule.condition.as_ref(), kind) {
            Ok(logic) => Some(logic),
            Err(never) => {
                let contradiction = match never {
                    Never::Constant => Vec::new(),
                    Never::Contradiction(tests) => tests,
                };
                self.warn(rule, true, Problem::NeverTrue { rule: rule.id.to_string(), contradiction });
                None
            }
        };
        let params = schema.params_of(&rule.on);
        let is_optional = |path: &str| match path.split_once('.') {
            // What a provider does not tell is unknown, and nothing that `has` could ask for.
            Some(("context", name)) if !schema.provided.contains(name) => {
                schema.context.attribute(name).is_some_and(|found| found.optional)
            }
            _ => path.strip_prefix("action.params.").is_some_and(|name| params.is_optional(name)),
        };
        for attribute in logic.iter().flat_map(|logic| logic.unprotected(&is_optional)) {
            self.warn(rule, true, Problem::Unprotected { attribute });
        }
        Looked { rule, logic }
    }

    /// A rule that does something: whether it ever fires, and whether what it emits is known.
    fn look_at_triggered(&mut self, rule: &'r TriggeredRule) {
        let schema = &self.ruleset.schema;
        let warning = |at: Place, problem| Diagnostic { severity: Severity::Warning, at: at.0, problem };
        let about = match rule.trigger() {
            Trigger::Decision(on) => Some(on.clone()),
            _ => None,
        };
        let emitted = rule.effects.emit.as_ref().map(|emit| KindPattern::from(emit.kind.clone()));
        for kind in about.into_iter().chain(emitted).filter(|kind| schema.is_stranger(kind)) {
            let kinds: Vec<String> = schema.kinds.iter().map(|kind| kind.pattern.to_string()).collect();
            let pattern = kind.to_string();
            let suggestion = nearest(&pattern, kinds.iter().map(String::as_str));
            self.findings.push(warning(rule.at, Problem::UnknownKind { pattern, suggestion }));
        }
        match Condition::logic(rule.condition.as_ref(), None) {
            Ok(logic) => {
                let data = match rule.trigger() {
                    Trigger::Event(on) => schema.data_of(on),
                    _ => return,
                };
                let is_optional =
                    |path: &str| path.strip_prefix("event.data.").is_some_and(|name| data.is_optional(name));
                for attribute in logic.unprotected(&is_optional) {
                    self.findings.push(warning(rule.when_at, Problem::Unprotected { attribute }));
                }
            }
            Err(never) => {
                let contradiction = match never {
                    Never::Constant => Vec::new(),
                    Never::Contradiction(tests) => tests,
                };
                let problem = Problem::NeverTrue { rule: rule.id().to_string(), contradiction };
                self.findings.push(warning(rule.when_at, problem));
            }
        }
    }

    /// Rules that say the same as an earlier one.
    fn duplicates(&mut self) {
        let mut known: HashMap<_, &Rule> = HashMap::new();
        for rule in self.ruleset.rules() {
            match known.get(&rule.meaning()) {
                Some(first) => {
                    let (rule_id, other) = (rule.id.to_string(), first.id.to_string());
                    let problem = Problem::Duplicate { rule: rule_id, other, at: first.at.0 };
                    self.warn(rule, false, problem);
                }
                None => drop(known.insert(rule.meaning(), rule)),
            }
        }
    }

    /// Rules that never count, because a stronger one matches whenever they do.
    fn overridden(&mut self, rules: &[Looked<'r>]) {
        let stronger = Stronger::of(rules);
        let mut pairs = 0;
        for weak in rules {
            let Some(logic) = &weak.logic else { continue };
            for place in stronger.candidates(weak.rule) {
                let Some(Looked { rule: strong, logic: Some(other) }) = rules.get(place) else { continue };
                if strength(strong.effect) <= strength(weak.rule.effect) || !strong.on.covers(&weak.rule.on) {
                    continue;
                }
                pairs += 1;
                if pairs > PAIRS {
                    self.warn(weak.rule, false, Problem::NotCompared { pairs: PAIRS });
                    return;
                }
                if logic.implies(other) {
                    let same = strong.on == weak.rule.on && other.implies(logic);
                    self.warn(weak.rule, false, overridden(weak.rule, strong, same));
                    break;
                }
            }
        }
    }
}

fn overridden(weak: &Rule, strong: &Rule, same: bool) -> Problem {
    let (rule, effect) = (weak.id.to_string(), weak.effect);
    let (by, by_effect, at) = (strong.id.to_string(), strong.effect, strong.at.0);
    if same {
        Problem::Contradictory { rule, effect, by, by_effect, at }
    } else {
        Problem::Shadowed { rule, effect, by, by_effect, at }
    }
}

const fn strength(effect: Effect) -> u8 {
    match effect {
        Effect::Permit => 0,
        Effect::Escalate => 1,
        Effect::Deny => 2,
    }
}

/// Rules that could override others, by what a rule must test for them to do so.
struct Stronger<'r> {
    /// Places of rules with an equality test, by pattern, attribute and value.
    tested: HashMap<(&'r Form, &'r str, &'r Literal), Vec<usize>>,
    untested: HashMap<&'r Form, Vec<usize>>,
}

impl<'r> Stronger<'r> {
    fn of(rules: &[Looked<'r>]) -> Self {
        let mut stronger = Self { tested: HashMap::new(), untested: HashMap::new() };
        for (place, looked) in rules.iter().enumerate() {
            let rule = looked.rule;
            if rule.effect == Effect::Permit {
                continue;
            }
            match tests(rule).next() {
                Some((path, all)) => {
                    for literal in all {
                        stronger.tested.entry((rule.on.form(), path, literal)).or_default().push(place);
                    }
                }
                None => stronger.untested.entry(rule.on.form()).or_default().push(place),
            }
        }
        stronger
    }

    /// Rules about all that this rule is about, in the order of the file.
    fn candidates(&self, rule: &Rule) -> Vec<usize> {
        let mut places = Vec::new();
        for form in covering(&rule.on) {
            places.extend(self.untested.get(&form).into_iter().flatten());
            for (path, all) in tests(rule) {
                // Whatever follows from the test holds for each of its values.
                let first = all.first().and_then(|literal| self.tested.get(&(&form, path, literal)));
                places.extend(first.into_iter().flatten());
            }
        }
        places.sort_unstable();
        places.dedup();
        places
    }
}

fn tests(rule: &Rule) -> impl Iterator<Item = (&str, &[Literal])> {
    rule.guards().iter().filter_map(|guard| match &guard.wanted {
        Wanted::OneOf(all) => Some((guard.subject.path(), all.as_slice())),
        Wanted::Present => None,
    })
}

/// The patterns that cover all that a pattern covers.
fn covering(pattern: &KindPattern) -> Vec<Form> {
    let (text, mut forms) = match pattern.form() {
        Form::Exact(kind) => (kind.as_str(), vec![pattern.form().clone()]),
        Form::Prefix(prefix) => (prefix.as_str(), Vec::new()),
    };
    forms.extend(
        (0..=text.len()).filter_map(|len| text.get(..len)).map(|prefix| Form::Prefix(prefix.to_owned())),
    );
    forms
}

impl Params<'_> {
    fn is_optional(&self, name: &str) -> bool {
        match self {
            Params::Any => false,
            Params::Of(members) => members.attribute(name).is_some_and(|found| found.optional),
            // What some kinds do not have at all is optional too.
            Params::Several(all) => {
                let optional = |members: &&crate::attribute::Members| {
                    members.attribute(name).is_none_or(|found| found.optional)
                };
                all.iter().flatten().any(optional) && all.iter().all(Option::is_some)
            }
        }
    }
}
