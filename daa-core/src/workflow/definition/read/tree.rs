//! A document whose parts know where they stand.

use serde_json::Number;

use super::error::{Flaw, Misread};
use crate::workflow::definition::Place;
use crate::workflow::definition::check::MAX_DEPTH;

/// A value, and the byte at which it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) start: usize,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key begins.
    pub(super) at: usize,
    pub(super) value: Node,
}

/// The tables that are no part of a place: what is in them belongs to the step.
const UNNAMED: [&str; 3] = ["action", "approval", "workflow"];

/// Refuses what is nested too deeply.
pub(super) fn check_depth(depth: usize, at: usize) -> Result<(), Misread> {
    if depth > MAX_DEPTH {
        return Err(Misread::at(at, Flaw::TooDeep { max: MAX_DEPTH }));
    }
    Ok(())
}

impl Node {
    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Table(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    fn step_name(&self) -> Option<&str> {
        match &self.entry("step")?.value.content {
            Content::Text(name) => Some(name),
            _ => None,
        }
    }

    /// The byte of a place, or of as much of it as there is.
    pub(super) fn find(&self, place: &Place) -> usize {
        let (mut node, mut found) = (self, self.start);
        for (at, part) in place.parts().iter().enumerate() {
            let steps = at == 1 && place.parts().first().is_some_and(|first| first == "steps");
            let Some((next, start)) = node.part(part, steps) else { break };
            (node, found) = (next, start);
        }
        found
    }

    fn part(&self, part: &str, steps: bool) -> Option<(&Self, usize)> {
        let item = || part.parse::<usize>().ok().and_then(|at| self.items().get(at));
        if steps && item().is_none() {
            let step = self.items().iter().find(|step| step.step_name() == Some(part))?;
            return Some((step, step.start));
        }
        if let Some(item) = item() {
            return Some((item, item.start));
        }
        let inner = || UNNAMED.iter().find_map(|unnamed| self.entry(unnamed)?.value.entry(part));
        let optional = || self.entry(&format!("{part}?"));
        let entry = self.entry(part).or_else(inner).or_else(optional)?;
        Some((&entry.value, entry.at))
    }
}

/// The place of a path through a tree, from the outside in; without the tree, steps go by their number.
pub(super) fn place(root: Option<&Node>, path: &[String]) -> Place {
    let [steps, number, rest @ ..] = path else { return Place::of(path) };
    if steps != "steps" {
        return Place::of(path);
    }
    let items = root.and_then(|root| root.entry("steps")).map_or(&[][..], |entry| entry.value.items());
    let name = number.parse::<usize>().ok().and_then(|at| items.get(at)?.step_name());
    let unnamed = |part: &String| UNNAMED.contains(&part.as_str());
    let mut parts = vec![steps.as_str(), name.unwrap_or(number)];
    match rest {
        [first, rest @ ..] if unnamed(first) && !rest.is_empty() => {
            parts.extend(rest.iter().map(String::as_str))
        }
        [first, second, rest @ ..] if first == "undo" && unnamed(second) => {
            parts.push(first);
            parts.extend(rest.iter().map(String::as_str));
        }
        rest => parts.extend(rest.iter().map(String::as_str)),
    }
    Place::of(parts)
}
