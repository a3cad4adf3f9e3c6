//! Tables `[parameter.NAME]`, `[event."KIND"]` and `[notification.NAME]`.

use daa_core::id::SourceId;
use serde_json::Value;

use super::{Reader, find, is_name, pattern_of, unknown_name};
use crate::attribute::Type;
use crate::document::{Entry, Misfit, Node};
use crate::limits::Limits;
use crate::problem::Problem;
use crate::schema::{Kind, Schema};
use crate::trigger::Parameter;

const PARAMETER: [&str; 4] = ["type", "value", "min", "max"];

impl Reader<'_> {
    /// Reads the parameters, and declares them.
    pub(super) fn parameters(&mut self, entries: &[Entry], schema: &mut Schema) -> Vec<Parameter> {
        let tables = self.value(entries, "parameter", |node| node.table("parameter")).unwrap_or_default();
        if let Some(entry) = tables.get(Limits::PARAMETERS) {
            let problem = Problem::Limit { what: "parameters", limit: Limits::PARAMETERS };
            self.note(Misfit { offset: entry.at, problem });
            return Vec::new();
        }
        let mut all: Vec<Parameter> = Vec::new();
        for entry in tables {
            if self.named(entry) {
                all.extend(self.parameter(entry));
                // What uses one that was refused is no further problem.
                schema.given.insert(format!("parameter.{}", entry.key), Type::Any);
            }
        }
        // Their order has no meaning.
        all.sort_by(|a, b| a.name.cmp(&b.name));
        for Parameter { name, kind, .. } in &all {
            schema.given.insert(format!("parameter.{name}"), kind.clone());
        }
        all
    }

    /// Whether it can stand behind a dot.
    fn named(&mut self, entry: &Entry) -> bool {
        if is_name(&entry.key) && entry.key != "version" {
            return true;
        }
        let name = entry.key.chars().take(100).collect();
        self.note(Misfit { offset: entry.at, problem: Problem::Name { name } });
        false
    }

    fn parameter(&mut self, entry: &Entry) -> Option<Parameter> {
        let entries = self.take(entry.value.table(&entry.key))?;
        self.known(entries, &PARAMETER);
        let needs =
            |key| Misfit { offset: entry.at, problem: Problem::MissingKey { what: "parameter", key } };
        let kind = self.take(find(entries, "type").ok_or_else(|| needs("type")))?;
        let (kind, _) = self.take(super::declare::kind(kind, "type", &mut 100, 0))?;
        let value_node = self.take(find(entries, "value").ok_or_else(|| needs("value")))?;
        let value = self.take(value_node.json())?;
        let (min, max) = (self.bound(entries, "min", &kind)?, self.bound(entries, "max", &kind)?);
        let parameter = Parameter { name: entry.key.clone(), kind, value, min, max };
        let wrong = parameter.check(&parameter.value).err();
        if let Some(wrong) = wrong {
            let problem = Problem::Case { message: wrong.to_string() };
            self.note(Misfit { offset: value_node.start, problem });
            return None;
        }
        Some(parameter)
    }

    /// `Some(None)` where there is none, and `None` where there is a wrong one.
    fn bound(&mut self, entries: &[Entry], key: &str, kind: &Type) -> Option<Option<Value>> {
        let Some(node) = find(entries, key) else { return Some(None) };
        let bound = self.take(node.json())?;
        if crate::condition::order(kind, &bound, &bound).is_none() {
            let problem = Problem::Parameter { what: "a bound is what the parameter is, and has an order" };
            self.note(Misfit { offset: node.start, problem });
            return None;
        }
        Some(Some(bound))
    }

    /// Reads which data events hold.
    pub(super) fn events(&mut self, entries: &[Entry], schema: &mut Schema) {
        let tables = self.value(entries, "event", |node| node.table("event")).unwrap_or_default();
        if let Some(entry) = tables.get(Limits::KINDS) {
            let problem = Problem::Limit { what: "declared kinds of event", limit: Limits::KINDS };
            self.note(Misfit { offset: entry.at, problem });
            return;
        }
        schema.events = tables.iter().filter_map(|entry| self.event(entry)).collect();
        schema.events.sort_by_key(|kind| kind.pattern.to_string());
    }

    fn event(&mut self, entry: &Entry) -> Option<Kind> {
        let pattern = self.take(pattern_of(&entry.key, entry.at))?;
        let entries = self.take(entry.value.table(&entry.key))?;
        self.known(entries, &["data", "untrusted"]);
        let params = find(entries, "data").and_then(|node| self.declared(node, "data")).unwrap_or_default();
        let untrusted = self.value(entries, "untrusted", |node| {
            let text = node.text("untrusted")?;
            let wrong = |error| Misfit { offset: node.start, problem: Problem::Source(error) };
            SourceId::new(text).map_err(wrong)
        });
        Some(Kind { pattern, params: Some(params), untrusted })
    }

    /// Reads which notifications there are.
    pub(super) fn notifications(&mut self, entries: &[Entry], schema: &mut Schema) {
        let tables =
            self.value(entries, "notification", |node| node.table("notification")).unwrap_or_default();
        if let Some(entry) = tables.get(Limits::NOTIFICATIONS) {
            let problem = Problem::Limit { what: "kinds of notification", limit: Limits::NOTIFICATIONS };
            self.note(Misfit { offset: entry.at, problem });
            return;
        }
        for entry in tables {
            if is_name(&entry.key) {
                let members = self.declared(&entry.value, "notification").unwrap_or_default();
                schema.notifications.insert(entry.key.clone(), members);
            } else {
                let name = entry.key.chars().take(100).collect();
                self.note(Misfit { offset: entry.at, problem: Problem::Name { name } });
            }
        }
    }
}

/// Attributes of an action that are not shown: dotted paths below `action.params`.
pub(super) fn redact(node: &Node) -> Result<Vec<String>, Misfit> {
    let items = node.list("redact", "a list of attributes")?;
    if let Some(item) = items.get(Limits::REDACTED) {
        let problem = Problem::Limit { what: "attributes to redact", limit: Limits::REDACTED };
        return Err(Misfit { offset: item.start, problem });
    }
    let path = |item: &Node| {
        let text = item.text("redact")?;
        let path = text.strip_prefix("action.params.");
        match path.filter(|path| path.len() <= 200 && path.split('.').all(is_name)) {
            Some(path) => Ok(path.to_owned()),
            None if text.starts_with("action.") => {
                let path = text.chars().take(64).collect();
                Err(Misfit { offset: item.start, problem: Problem::Redact { path } })
            }
            None => Err(unknown_name(item, "attribute", text, "action.params.NAME")),
        }
    };
    items.iter().map(path).collect()
}
