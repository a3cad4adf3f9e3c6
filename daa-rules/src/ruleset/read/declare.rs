//! Declarations: the facts, the kinds of action, and their parameters.

use std::sync::Arc;

use super::{Reader, find, is_name, pattern_of, unknown_name};
use crate::attribute::{Attribute, Members, Type};
use crate::document::{Content, Entry, Misfit, Node};
use crate::limits::Limits;
use crate::problem::Problem;
use crate::schema::{Kind, Schema};

/// How deep records and lists may be nested in a declaration.
const DEPTH: usize = 8;
/// Texts that one attribute may be limited to.
const LISTED: usize = 1_000;

impl Reader<'_> {
    pub(super) fn schema(&mut self, entries: &[Entry]) -> Schema {
        let mut attributes = |key| self.declared(find(entries, key)?, key);
        let context = attributes("context").unwrap_or_default();
        let params = attributes("params");
        let kinds = find(entries, "action").map(|node| self.kinds(node)).unwrap_or_default();
        Schema { context, params, kinds, ..Schema::default() }
    }

    /// Declared attributes; what is wrong with one is noted, and does not keep the others from being known.
    pub(super) fn declared(&mut self, node: &Node, key: &'static str) -> Option<Members> {
        let entries = self.take(node.table(key))?;
        let mut room = Limits::ATTRIBUTES;
        let mut members = Members::default();
        for entry in entries {
            if let Some(attribute) = self.take(attribute(entry, &mut room, 0)) {
                self.add(&mut members, attribute, entry.at);
            } else if room == 0 {
                break;
            }
        }
        Some(members)
    }

    fn add(&mut self, members: &mut Members, attribute: Attribute, at: usize) {
        if members.attribute(&attribute.name).is_some() {
            let problem = Problem::DuplicateAttribute { name: attribute.name };
            self.note(Misfit { offset: at, problem });
            return;
        }
        members.insert(attribute);
    }

    fn kinds(&mut self, node: &Node) -> Vec<Kind> {
        let entries = self.take(node.table("action")).unwrap_or_default();
        if let Some(entry) = entries.get(Limits::KINDS) {
            let problem = Problem::Limit { what: "declared kinds of action", limit: Limits::KINDS };
            self.note(Misfit { offset: entry.at, problem });
            return Vec::new();
        }
        let mut kinds: Vec<Kind> = entries.iter().filter_map(|entry| self.kind(entry)).collect();
        // Their order has no meaning, and so does not matter to the digest.
        kinds.sort_by_key(|kind| kind.pattern.to_string());
        kinds
    }

    fn kind(&mut self, entry: &Entry) -> Option<Kind> {
        let pattern = self.take(pattern_of(&entry.key, entry.at))?;
        let entries = self.take(entry.value.table(&entry.key))?;
        self.known(entries, &["params"]);
        let params = find(entries, "params").and_then(|node| self.declared(node, "params"));
        Some(Kind { pattern, params, untrusted: None })
    }
}

fn attribute(entry: &Entry, room: &mut usize, depth: usize) -> Result<Attribute, Misfit> {
    *room = room.checked_sub(1).ok_or_else(|| {
        let problem = Problem::Limit { what: "declared attributes", limit: Limits::ATTRIBUTES };
        Misfit { offset: entry.at, problem }
    })?;
    let (name, marked) = entry.key.strip_suffix('?').map_or((entry.key.as_str(), false), |name| (name, true));
    if !is_name(name) {
        let name = name.chars().take(100).collect();
        return Err(Misfit { offset: entry.at, problem: Problem::Name { name } });
    }
    let (kind, optional) = kind(&entry.value, name, room, depth)?;
    Ok(Attribute { name: name.to_owned(), kind, optional: optional || marked })
}

/// A type, and whether it is marked as optional: text, a list of the texts it may be, a list of the type of a list's
/// elements, or a table of members.
pub(super) fn kind(node: &Node, name: &str, room: &mut usize, depth: usize) -> Result<(Type, bool), Misfit> {
    let misfit = |what| Misfit { offset: node.start, problem: Problem::Type { what } };
    if depth > DEPTH {
        return Err(misfit("a type has at most 8 levels"));
    }
    match &node.content {
        Content::Table(entries) => {
            let mut members = Members::default();
            for entry in entries {
                let member = attribute(entry, room, depth + 1)?;
                if members.attribute(&member.name).is_some() {
                    let problem = Problem::DuplicateAttribute { name: member.name };
                    return Err(Misfit { offset: entry.at, problem });
                }
                members.insert(member);
            }
            Ok((Type::Record(Arc::new(members)), false))
        }
        Content::List(items) => match items.as_slice() {
            [inner @ Node { content: Content::Table(_) | Content::List(_), .. }] => {
                let (kind, _) = kind(inner, name, room, depth + 1)?;
                Ok((Type::List(Arc::new(kind)), false))
            }
            items => one_of(items, misfit),
        },
        _ => {
            let text = node.text(name)?;
            let (name, optional) = text.strip_suffix('?').map_or((text, false), |name| (name, true));
            let kind = Type::parse(name).ok_or_else(|| unknown_name(node, "type", text, Type::NAMES))?;
            Ok((kind, optional))
        }
    }
}

fn one_of(items: &[Node], misfit: impl Fn(&'static str) -> Misfit) -> Result<(Type, bool), Misfit> {
    if items.is_empty() {
        return Err(misfit("a list of texts needs one at least"));
    }
    if items.len() > LISTED {
        return Err(misfit("an attribute can be limited to at most 1000 texts"));
    }
    let mut all: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let text = item.text("a text of the list")?;
        if all.iter().any(|one| one == text) {
            let problem = Problem::Type { what: "this text stands in the list twice" };
            return Err(Misfit { offset: item.start, problem });
        }
        all.push(text.to_owned());
    }
    Ok((Type::Enum(all.into()), false))
}
