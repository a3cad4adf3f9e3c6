//! From the tree of a file to a ruleset.

use std::collections::{BTreeMap, HashMap};

use daa_core::id::RuleId;
use daa_core::suggest::nearest;

use super::{Effect, Rule, Ruleset};
use crate::condition::Condition;
use crate::document::{Entry, Misfit, Node, offset_in_value};
use crate::error::{Location, Problem};
use crate::limits::Limits;
use crate::pattern::KindPattern;
use crate::schema::{AttributeType, Schema};

const TOP: [&str; 5] = ["name", "version", "context", "params", "rule"];
const RULE: [&str; 6] = ["id", "on", "when", "effect", "reason", "priority"];

pub(super) fn ruleset(source: &str, root: &Node) -> Result<Ruleset, Misfit> {
    let entries = root.table("a ruleset")?;
    known(entries, &TOP)?;
    let name = match find(entries, "name") {
        Some(node) => limited(node, node.text("name")?, "bytes in a name", 200)?.to_owned(),
        None => "rules".to_owned(),
    };
    let version =
        find(entries, "version").map(|node| node.unsigned("version")).transpose()?.unwrap_or_default();
    let attributes = |key| find(entries, key).map(|node| declared(node, key)).transpose();
    let context = attributes("context")?.unwrap_or_default();
    let schema = Schema { context, params: attributes("params")? };
    let nodes = find(entries, "rule").map(|node| node.list("rule")).transpose()?.unwrap_or_default();
    if let Some(first) = nodes.get(Limits::RULES) {
        let problem = Problem::Limit { what: "rules in a ruleset", limit: Limits::RULES };
        return Err(Misfit { offset: first.start, problem });
    }
    let mut ids: HashMap<RuleId, usize> = HashMap::new();
    let mut rules = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let (rule, at) = rule(source, node, index, &schema)?;
        if let Some(first) = ids.insert(rule.id.clone(), at) {
            let first = Location::of(source, first);
            let problem = Problem::DuplicateRule { id: rule.id.to_string(), first };
            return Err(Misfit { offset: at, problem });
        }
        rules.push(rule);
    }
    Ok(Ruleset::new(name, version, schema, rules))
}

fn find<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

fn known(entries: &[Entry], keys: &[&str]) -> Result<(), Misfit> {
    match entries.iter().find(|entry| !keys.contains(&entry.key.as_str())) {
        None => Ok(()),
        Some(entry) => {
            let suggestion = nearest(&entry.key, keys.iter().copied());
            let found = entry.key.chars().take(64).collect();
            let problem = Problem::UnknownKey { found, expected: keys.join(", "), suggestion };
            Err(Misfit { offset: entry.at, problem })
        }
    }
}

fn limited<'t>(node: &Node, text: &'t str, what: &'static str, limit: usize) -> Result<&'t str, Misfit> {
    if text.len() > limit {
        return Err(Misfit { offset: node.start, problem: Problem::Limit { what, limit } });
    }
    Ok(text)
}

fn declared(node: &Node, key: &'static str) -> Result<BTreeMap<String, AttributeType>, Misfit> {
    let entries = node.table(key)?;
    if let Some(entry) = entries.get(Limits::ATTRIBUTES) {
        let problem = Problem::Limit { what: "declared attributes", limit: Limits::ATTRIBUTES };
        return Err(Misfit { offset: entry.at, problem });
    }
    entries.iter().map(attribute).collect()
}

fn attribute(entry: &Entry) -> Result<(String, AttributeType), Misfit> {
    let name = &entry.key;
    let is_name = name.len() <= 100
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
        && name.starts_with(|char: char| !char.is_ascii_digit());
    if !is_name {
        let name = name.chars().take(100).collect();
        return Err(Misfit { offset: entry.at, problem: Problem::Name { name } });
    }
    let text = entry.value.text(name)?;
    match AttributeType::parse(text) {
        Some(kind) => Ok((name.clone(), kind)),
        None => Err(unknown_name(&entry.value, "type", text, AttributeType::NAMES)),
    }
}

fn unknown_name(node: &Node, what: &'static str, found: &str, expected: &'static str) -> Misfit {
    let suggestion = nearest(found, expected.split(", "));
    let found = found.chars().take(64).collect();
    Misfit { offset: node.start, problem: Problem::UnknownName { what, found, expected, suggestion } }
}

/// One rule, and where its name, or else the rule itself, stands.
fn rule(source: &str, node: &Node, index: usize, schema: &Schema) -> Result<(Rule, usize), Misfit> {
    let entries = node.table("rule")?;
    known(entries, &RULE)?;
    let required = |key: &'static str| {
        let missing = || Misfit { offset: node.start, problem: Problem::MissingKey { key } };
        find(entries, key).ok_or_else(missing)
    };
    let (id, at) = match find(entries, "id") {
        Some(node) => (RuleId::new(node.text("id")?), node.start),
        None => (RuleId::new(format!("rule-{}", index + 1)), node.start),
    };
    let id = id.map_err(|error| Misfit { offset: at, problem: Problem::Id(error) })?;
    let on = pattern(required("on")?)?;
    let node = required("effect")?;
    let text = node.text("effect")?;
    let effect = Effect::parse(text).ok_or_else(|| unknown_name(node, "effect", text, Effect::NAMES))?;
    let reason = match find(entries, "reason") {
        Some(node) => {
            let text = node.text("reason")?;
            Some(limited(node, text, "bytes in a reason", Limits::REASON)?.to_owned())
        }
        None => None,
    };
    let priority =
        find(entries, "priority").map(|node| node.integer("priority")).transpose()?.unwrap_or_default();
    let (when, condition) = match find(entries, "when") {
        Some(node) => {
            let text = node.text("when")?;
            (Some(text.to_owned()), Some(condition(source, node, text, schema)?))
        }
        None => (None, None),
    };
    Ok((Rule { id, on, when, condition, effect, reason, priority }, at))
}

fn pattern(node: &Node) -> Result<KindPattern, Misfit> {
    let text = node.text("on")?;
    KindPattern::parse(text).map_err(|message| {
        let pattern = text.chars().take(64).collect();
        Misfit { offset: node.start, problem: Problem::Pattern { pattern, message } }
    })
}

fn condition(source: &str, node: &Node, text: &str, schema: &Schema) -> Result<Condition, Misfit> {
    Condition::compile(text, schema).map_err(|error| {
        let offset = offset_in_value(source, node.start, node.end, text, error.index);
        Misfit { offset, problem: error.problem }
    })
}
