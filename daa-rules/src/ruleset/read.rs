//! From the tree of a file to a ruleset.

mod counters;
mod declare;
mod effects;
mod owners;
mod parameter;
mod provided;
mod sequences;
mod table;
mod trial;
mod trigger;

use std::collections::HashMap;

use daa_core::id::RuleId;
use daa_core::suggest::nearest;

use super::{Duties, Effect, Gathered, OnIndeterminate, Place, Rule, Ruleset};
use crate::condition::{Amount, Condition};
use crate::diagnostic::Diagnostic;
use crate::document::{Entry, Lines, Misfit, Node};
use crate::limits::Limits;
use crate::pattern::KindPattern;
use crate::problem::Problem;
use crate::schema::Schema;
use crate::trigger::TriggeredRule;

const TOP: [&str; 16] = [
    "name",
    "version",
    "context",
    "provided",
    "params",
    "action",
    "owner",
    "event",
    "parameter",
    "notification",
    "seen",
    "window",
    "sequence",
    "rule",
    "table",
    "test",
];
const RULE: [&str; 14] = [
    "id",
    "on",
    "when",
    "effect",
    "reason",
    "priority",
    "on_indeterminate",
    "limit",
    "log",
    "redact",
    "emit",
    "notify",
    "set",
    "rate",
];

/// Reads a ruleset, or says everything that is wrong with it.
pub(super) fn ruleset(source: &str, root: Result<Node, Misfit>) -> Result<Ruleset, Vec<Diagnostic>> {
    let mut reader = Reader { source, lines: Lines::of(source), problems: Vec::new() };
    let read = reader.take(root).map(|root| reader.ruleset(&root));
    match read {
        Some(ruleset) if reader.problems.is_empty() => Ok(ruleset),
        _ => {
            reader.problems.sort_by_key(|problem| problem.at);
            Err(reader.problems)
        }
    }
}

/// Reads on after a problem, so that all of them are told.
struct Reader<'s> {
    source: &'s str,
    lines: Lines<'s>,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn note(&mut self, misfit: Misfit) {
        if self.problems.len() < Limits::PROBLEMS {
            self.problems.push(Diagnostic::error(self.lines.location(misfit.offset), misfit.problem));
        }
    }

    /// What was read; a problem is noted.
    fn take<T>(&mut self, read: Result<T, Misfit>) -> Option<T> {
        read.map_err(|misfit| self.note(misfit)).ok()
    }

    /// The value of a key, read in this way; a problem is noted, and is no value either.
    fn value<'n, T>(
        &mut self,
        entries: &'n [Entry],
        key: &str,
        read: impl FnOnce(&'n Node) -> Result<T, Misfit>,
    ) -> Option<T> {
        find(entries, key).and_then(|node| self.take(read(node)))
    }

    fn is_full(&self) -> bool {
        self.problems.len() >= Limits::PROBLEMS
    }

    fn known(&mut self, entries: &[Entry], keys: &[&str]) {
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let suggestion = nearest(&entry.key, keys.iter().copied());
            let found = entry.key.chars().take(64).collect();
            let problem = Problem::UnknownKey { found, expected: keys.join(", "), suggestion };
            self.note(Misfit { offset: entry.at, problem });
        }
    }

    fn place(&self, offset: usize) -> Place {
        Place(self.lines.location(offset))
    }

    fn ruleset(&mut self, root: &Node) -> Ruleset {
        let entries = self.take(root.table("a ruleset")).unwrap_or_default();
        self.known(entries, &TOP);
        let name =
            self.value(entries, "name", |node| limited(node, node.text("name")?, "bytes in a name", 200));
        let version = self.value(entries, "version", |node| node.unsigned("version"));
        let mut schema = self.schema(entries);
        self.events(entries, &mut schema);
        self.notifications(entries, &mut schema);
        let provided = self.provided(entries, &mut schema);
        schema.owners = self.owners(entries);
        let parameters = self.parameters(entries, &mut schema);
        let counters = self.counters(entries, &mut schema);
        let nodes =
            self.value(entries, "rule", |node| node.list("rule", "a list of rules")).unwrap_or_default();
        if let Some(first) = nodes.get(Limits::RULES) {
            let problem = Problem::Limit { what: "rules in a ruleset", limit: Limits::RULES };
            self.note(Misfit { offset: first.start, problem });
        }
        let mut ids = HashMap::new();
        let nodes = nodes.get(..Limits::RULES).unwrap_or(nodes);
        let (mut rules, triggered) = self.rules(nodes, &schema, &mut ids);
        let nodes =
            self.value(entries, "table", |node| node.list("table", "a list of tables")).unwrap_or_default();
        self.tables(nodes, &schema, &mut ids, &mut rules);
        let nodes =
            self.value(entries, "test", |node| node.list("test", "a list of tests")).unwrap_or_default();
        let known =
            trial::Known { rules: &rules, triggered: &triggered, schema: &schema, parameters: &parameters };
        // What a test says of a rule that was refused is no further problem.
        let tests = if self.problems.is_empty() { self.tests(nodes, &known) } else { Default::default() };
        let gathered = Gathered { counters, provided, parameters };
        let (name, version) = (name.unwrap_or("rules").to_owned(), version.unwrap_or_default());
        Ruleset::new((name, version), schema, gathered, rules, triggered, tests)
    }

    /// Rules that decide, and rules that do something.
    fn rules(
        &mut self,
        nodes: &[Node],
        schema: &Schema,
        ids: &mut HashMap<RuleId, usize>,
    ) -> (Vec<Rule>, Vec<TriggeredRule>) {
        let (mut rules, mut triggered) = (Vec::with_capacity(nodes.len()), Vec::new());
        for (index, node) in nodes.iter().enumerate() {
            if self.is_full() {
                break;
            }
            let Some((id, at)) = self.id(node, index) else { continue };
            self.claim(&id, at, ids);
            let entries = node.table("rule").unwrap_or_default();
            let place = self.place(at);
            if find(entries, "on").is_some_and(trigger::is_table) {
                triggered.extend(self.triggered(node, (id, place), schema));
                continue;
            }
            let does = trigger::DOES.iter().any(|key| find(entries, key).is_some());
            if find(entries, "effect").is_some() || !does {
                rules.extend(self.rule(node, id.clone(), at, schema));
            } else {
                self.known(entries, &trigger::AFTER);
            }
            if does {
                triggered.extend(self.after_decision(node, (id, place), schema));
            }
        }
        if let Some(rule) = triggered.get(Limits::TRIGGERED) {
            let problem = Problem::Limit { what: "rules that are triggered", limit: Limits::TRIGGERED };
            self.problems.push(Diagnostic::error(rule.location(), problem));
        }
        (rules, triggered)
    }

    /// Takes a name that no other rule may have.
    fn claim(&mut self, id: &RuleId, at: usize, ids: &mut HashMap<RuleId, usize>) {
        if let Some(first) = ids.insert(id.clone(), at) {
            let first = self.lines.location(first);
            self.note(Misfit { offset: at, problem: Problem::DuplicateRule { id: id.to_string(), first } });
        }
    }

    /// The name of a rule, and where it, or else the rule itself, stands.
    fn id(&mut self, node: &Node, index: usize) -> Option<(RuleId, usize)> {
        let entries = self.take(node.table("rule"))?;
        let (id, at) = match find(entries, "id") {
            Some(node) => (RuleId::new(self.take(node.text("id"))?), node.start),
            None => (RuleId::new(format!("rule-{}", index + 1)), node.start),
        };
        self.take(id.map(|id| (id, at)).map_err(|error| Misfit { offset: at, problem: Problem::Id(error) }))
    }

    fn rule(&mut self, node: &Node, id: RuleId, at: usize, schema: &Schema) -> Option<Rule> {
        let entries = self.take(node.table("rule"))?;
        self.known(entries, &RULE);
        let missing =
            || Misfit { offset: node.start, problem: Problem::MissingKey { what: "rule", key: "on" } };
        let on = self.take(find(entries, "on").ok_or_else(missing).and_then(pattern));
        let rest = self.rest(node, entries, find(entries, "effect"), id, at);
        let on = on?;
        let condition = match find(entries, "when") {
            Some(node) => {
                let text = self.take(node.text("when"))?;
                Some((text.to_owned(), self.condition(node, text, schema, &on)?))
            }
            None => None,
        };
        let when_at = find(entries, "when").map_or(at, |node| node.start);
        Some(rest?.with(on, condition, self.place(when_at)))
    }

    /// What a rule and a row of a table have alike.
    fn rest(
        &mut self,
        node: &Node,
        entries: &[Entry],
        effect: Option<&Node>,
        id: RuleId,
        at: usize,
    ) -> Option<Rest> {
        let missing =
            || Misfit { offset: node.start, problem: Problem::MissingKey { what: "rule", key: "effect" } };
        let effect = self.take(effect.ok_or_else(missing).and_then(self::effect));
        let reason = self.value(entries, "reason", |node| {
            limited(node, node.text("reason")?, "bytes in a reason", Limits::REASON)
        });
        let priority = self.value(entries, "priority", |node| node.integer("priority"));
        let duties = Duties {
            limit: self.value(entries, "limit", limit),
            log: self
                .value(entries, "log", |node| {
                    limited(node, node.text("log")?, "bytes in a log", Limits::REASON)
                })
                .map(ToOwned::to_owned),
            redact: self.value(entries, "redact", parameter::redact).unwrap_or_default(),
        };
        let on_indeterminate = self.value(entries, "on_indeterminate", on_indeterminate);
        let effect = effect?;
        if effect == Effect::Deny && duties.bind() {
            self.note(Misfit { offset: at, problem: Problem::Idle });
        }
        Some(Rest {
            id,
            effect,
            reason: reason.map(ToOwned::to_owned),
            priority: priority.unwrap_or_default(),
            duties,
            on_indeterminate: on_indeterminate.unwrap_or(OnIndeterminate::of(effect)),
            at: self.place(at),
        })
    }

    fn condition(&mut self, node: &Node, text: &str, schema: &Schema, on: &KindPattern) -> Option<Condition> {
        self.compiled(node, text, Condition::compile(text, schema, &schema.params_of(on)))
    }
}

/// A rule but for what it is about, and when.
struct Rest {
    id: RuleId,
    effect: Effect,
    reason: Option<String>,
    priority: i64,
    duties: Duties,
    on_indeterminate: OnIndeterminate,
    at: Place,
}

impl Rest {
    fn with(self, on: KindPattern, condition: Option<(String, Condition)>, when_at: Place) -> Rule {
        let Self { id, effect, reason, priority, duties, on_indeterminate, at } = self;
        let (when, condition) = condition.unzip();
        Rule { id, on, when, condition, effect, reason, priority, duties, on_indeterminate, at, when_at }
    }
}

fn find<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

fn limited<'t>(node: &Node, text: &'t str, what: &'static str, limit: usize) -> Result<&'t str, Misfit> {
    if text.len() > limit {
        return Err(Misfit { offset: node.start, problem: Problem::Limit { what, limit } });
    }
    Ok(text)
}

fn unknown_name(node: &Node, what: &'static str, found: &str, expected: &'static str) -> Misfit {
    let suggestion = nearest(found, expected.split(", "));
    let found = found.chars().take(64).collect();
    Misfit { offset: node.start, problem: Problem::UnknownName { what, found, expected, suggestion } }
}

fn effect(node: &Node) -> Result<Effect, Misfit> {
    let text = node.text("effect")?;
    Effect::parse(text).ok_or_else(|| unknown_name(node, "effect", text, Effect::NAMES))
}

fn limit(node: &Node) -> Result<Amount, Misfit> {
    let text = node.text("limit")?;
    let wrong = || Misfit { offset: node.start, problem: Problem::Money { text: text.to_owned() } };
    Amount::parse(text).ok_or_else(wrong)
}

fn on_indeterminate(node: &Node) -> Result<OnIndeterminate, Misfit> {
    let (text, names) = (node.text("on_indeterminate")?, OnIndeterminate::NAMES);
    OnIndeterminate::parse(text).ok_or_else(|| unknown_name(node, "effect", text, names))
}

/// Whether it can stand behind a dot in a condition.
fn is_name(name: &str) -> bool {
    name.len() <= 100
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
        && name.starts_with(|char: char| !char.is_ascii_digit())
}

fn pattern(node: &Node) -> Result<KindPattern, Misfit> {
    pattern_of(node.text("on")?, node.start)
}

fn pattern_of(text: &str, offset: usize) -> Result<KindPattern, Misfit> {
    KindPattern::parse(text).map_err(|message| {
        let pattern = text.chars().take(64).collect();
        Misfit { offset, problem: Problem::Pattern { pattern, message } }
    })
}
