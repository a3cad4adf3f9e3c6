//! Tests in the file of the rules.

use daa_core::id::RuleId;
use daa_core::suggest::nearest;
use serde_json::{Map, Value};

use super::{Reader, effect, find, limited};
use crate::case::Case;
use crate::condition::fits;
use crate::document::{Entry, Misfit, Node};
use crate::limits::Limits;
use crate::problem::Problem;
use crate::rule_test::{Expected, RuleTest, TriggerTest};
use crate::ruleset::Rule;
use crate::schema::Schema;
use crate::trigger::{Happened, Parameter, Trigger, TriggerCase, TriggeredRule};

const DECISION: [&str; 11] =
    ["name", "action", "context", "given", "now", "expect", "rules", "fires", "emits", "notifies", "sets"];
const TRIGGER: [&str; 10] =
    ["name", "event", "schedule", "threshold", "given", "now", "fires", "emits", "notifies", "sets"];
/// What happens in a test, where it is no action.
const HAPPENS: [&str; 3] = ["event", "schedule", "threshold"];

/// What tests may speak of.
pub(super) struct Known<'k> {
    pub(super) rules: &'k [Rule],
    pub(super) triggered: &'k [TriggeredRule],
    pub(super) schema: &'k Schema,
    pub(super) parameters: &'k [Parameter],
}

impl Reader<'_> {
    pub(super) fn tests(&mut self, nodes: &[Node], known: &Known<'_>) -> (Vec<RuleTest>, Vec<TriggerTest>) {
        if let Some(first) = nodes.get(Limits::TESTS) {
            let problem = Problem::Limit { what: "tests in a ruleset", limit: Limits::TESTS };
            self.note(Misfit { offset: first.start, problem });
        }
        let (mut tests, mut triggers) = (Vec::new(), Vec::new());
        for (index, node) in nodes.iter().take(Limits::TESTS).enumerate() {
            let Some(entries) = self.take(node.table("test")) else { continue };
            if HAPPENS.iter().any(|key| find(entries, key).is_some()) {
                self.known(entries, &TRIGGER);
                triggers.extend(self.trigger_test(node, entries, index, known));
                continue;
            }
            self.known(entries, &DECISION);
            let test = self.test(node, entries, index, known);
            if let Some(test) = &test
                && find(entries, "fires").is_some()
            {
                let case = TriggerCase::decision(test.case.clone());
                triggers.extend(self.expecting(entries, case, (test.name.clone(), test.at), known));
            }
            tests.extend(test);
        }
        (tests, triggers)
    }

    /// What a test is called, and where it stands.
    fn test_name(
        &mut self,
        node: &Node,
        entries: &[Entry],
        index: usize,
    ) -> (String, crate::diagnostic::Location) {
        let name =
            self.value(entries, "name", |node| limited(node, node.text("name")?, "bytes in a name", 200));
        let name = name.map_or_else(|| format!("test-{}", index + 1), ToOwned::to_owned);
        (name, self.lines.location(find(entries, "name").map_or(node.start, |node| node.start)))
    }

    fn test(&mut self, node: &Node, entries: &[Entry], index: usize, known: &Known<'_>) -> Option<RuleTest> {
        let required = |key: &'static str| {
            let missing =
                || Misfit { offset: node.start, problem: Problem::MissingKey { what: "test", key } };
            find(entries, key).ok_or_else(missing)
        };
        let (name, at) = self.test_name(node, entries, index);
        let expect = self.take(required("expect").and_then(effect));
        let action = self.take(required("action"))?;
        let mut request = Map::new();
        request.insert("action".to_owned(), self.take(action.json())?);
        for key in ["context", "given", "now"] {
            if let Some(node) = find(entries, key) {
                request.insert(key.to_owned(), self.take(node.json())?);
            }
        }
        self.given(entries, known)?;
        let case = Case::from_value(request.into()).map_err(|error| {
            let problem = Problem::Case { message: told(&error) };
            Misfit { offset: action.start, problem }
        });
        let case = self.take(case);
        let rules = match find(entries, "rules") {
            Some(node) => Some(self.named_rules(node, "rules", known.rules.iter().map(|rule| &rule.id))?),
            None => None,
        };
        Some(RuleTest { name, case: case?, expect: expect?, rules, at })
    }

    fn trigger_test(
        &mut self,
        node: &Node,
        entries: &[Entry],
        index: usize,
        known: &Known<'_>,
    ) -> Option<TriggerTest> {
        let name = self.test_name(node, entries, index);
        let mut written = Map::new();
        for entry in entries.iter().filter(|entry| HAPPENS.contains(&entry.key.as_str())) {
            written.insert(entry.key.clone(), self.take(entry.value.json())?);
        }
        for key in ["given", "now"] {
            if let Some(node) = find(entries, key) {
                written.insert(key.to_owned(), self.take(node.json())?);
            }
        }
        self.given(entries, known)?;
        let happens = HAPPENS.iter().find_map(|key| find(entries, key)).unwrap_or(node);
        let case = TriggerCase::from_value(written.into()).map_err(|error| {
            let problem = Problem::Case { message: told(&error) };
            Misfit { offset: happens.start, problem }
        });
        let case = self.take(case)?;
        if let Happened::Values { rule, values } = &case.happened {
            self.values_of(happens, rule, values, known)?;
        }
        if find(entries, "fires").is_none() {
            let problem = Problem::MissingKey { what: "test of what is triggered", key: "fires" };
            self.note(Misfit { offset: node.start, problem });
            return None;
        }
        self.expecting(entries, case, name, known)
    }

    /// Whether a rule has a threshold, whose value can be these.
    fn values_of(&mut self, node: &Node, rule: &RuleId, values: &[Value], known: &Known<'_>) -> Option<()> {
        let thresholds = known.triggered.iter().filter_map(|rule| match rule.trigger() {
            Trigger::Threshold(threshold) => Some((rule.id(), threshold)),
            _ => None,
        });
        let Some((_, threshold)) = thresholds.clone().find(|(id, _)| *id == rule) else {
            let suggestion = nearest(rule.as_str(), thresholds.map(|(id, _)| id.as_str()));
            let problem = Problem::UnknownRule { id: rule.to_string(), suggestion };
            self.note(Misfit { offset: node.start, problem });
            return None;
        };
        for value in values {
            if let Err(found) = fits(value, threshold.kind()) {
                self.misfit(node.start, "the value of the threshold", &threshold.kind().to_string(), found);
                return None;
            }
        }
        Some(())
    }

    fn expecting(
        &mut self,
        entries: &[Entry],
        case: TriggerCase,
        (name, at): (String, crate::diagnostic::Location),
        known: &Known<'_>,
    ) -> Option<TriggerTest> {
        let fires = match find(entries, "fires") {
            Some(node) => self.named_rules(node, "fires", known.triggered.iter().map(TriggeredRule::id))?,
            None => Vec::new(),
        };
        let list = |reader: &mut Self, key: &'static str| match find(entries, key) {
            Some(node) => {
                let items = reader.take(node.list(key, "a list of tables"))?;
                let items: Vec<_> = items.iter().map(|item| reader.take(item.json())).collect();
                items.into_iter().collect::<Option<Vec<_>>>().map(Some)
            }
            None => Some(None),
        };
        let (emits, notifies) = (list(self, "emits")?, list(self, "notifies")?);
        let sets = match find(entries, "sets") {
            Some(node) => {
                self.take(node.table("sets"))?;
                match self.take(node.json())? {
                    Value::Object(sets) => Some(sets),
                    _ => None,
                }
            }
            None => None,
        };
        Some(TriggerTest { name, case, expected: Expected { fires, emits, notifies, sets }, at })
    }

    /// What is given must be declared, and of its type.
    fn given(&mut self, entries: &[Entry], known: &Known<'_>) -> Option<()> {
        let Some(node) = find(entries, "given") else { return Some(()) };
        let before = self.problems.len();
        for root in self.take(node.table("given"))? {
            let Some(names) = self.take(root.value.table(&root.key)) else { continue };
            for entry in names {
                self.given_one(&root.key, entry, known);
            }
        }
        (self.problems.len() == before).then_some(())
    }

    fn given_one(&mut self, root: &str, entry: &Entry, known: &Known<'_>) {
        let schema = known.schema;
        let path = format!("{root}.{}", entry.key);
        let provided = (root == "context" && schema.provided.contains(&entry.key)).then_some(&entry.key);
        let fact = provided.and_then(|name| schema.context.attribute(name)).map(|found| &found.kind);
        let Some(kind) = fact.or_else(|| schema.given.get(&path)) else {
            let facts = schema.provided.iter().map(|name| format!("context.{name}"));
            let all: Vec<String> = schema.given.keys().cloned().chain(facts).collect();
            let suggestion = nearest(&path, all.iter().map(String::as_str));
            let (found, expected) = (path.chars().take(100).collect(), all.join(", "));
            self.note(Misfit {
                offset: entry.at,
                problem: Problem::UnknownKey { found, expected, suggestion },
            });
            return;
        };
        let Some(value) = self.take(entry.value.json()) else { return };
        let parameter =
            known.parameters.iter().find(|parameter| root == "parameter" && parameter.name == entry.key);
        if let Err(found) = fits(&value, kind) {
            self.misfit(entry.value.start, &path, &kind.to_string(), found);
        } else if let Some(Err(error)) = parameter.map(|parameter| parameter.check(&value)) {
            let problem = Problem::Case { message: error.to_string() };
            self.note(Misfit { offset: entry.value.start, problem });
        }
    }

    /// Rules, all of which must be there.
    fn named_rules<'k>(
        &mut self,
        node: &Node,
        key: &'static str,
        known: impl Iterator<Item = &'k RuleId> + Clone,
    ) -> Option<Vec<RuleId>> {
        let mut rules = Vec::new();
        for item in self.take(node.list(key, "a list of rules"))? {
            let text = self.take(item.text(key))?;
            let Some(id) = known.clone().find(|id| id.as_str() == text) else {
                let suggestion = nearest(text, known.map(RuleId::as_str));
                let problem = Problem::UnknownRule { id: text.chars().take(64).collect(), suggestion };
                self.note(Misfit { offset: item.start, problem });
                return None;
            };
            rules.push(id.clone());
        }
        Some(rules)
    }
}

/// An error and what it comes from, in one line.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        // What JSON says is part of the message already.
        Some(source) if !source.is::<serde_json::Error>() => format!("{error}: {source}"),
        _ => error.to_string(),
    }
}
