//! What rules do: templates, checked against what is declared.

use daa_core::id::ActionKind;
use daa_core::suggest::nearest;

use super::{Reader, find, limited};
use crate::attribute::{Members, Type};
use crate::condition::{About, Condition};
use crate::document::{Content, Entry, Misfit, Node};
use crate::limits::Limits;
use crate::pattern::KindPattern;
use crate::problem::Problem;
use crate::schema::{Params, Schema};
use crate::trigger::{Cost, Effects, Emit, Member, Notify, Piece, SetParameter, Template};

const EMIT: [&str; 4] = ["kind", "params", "cost", "decimals"];
const NOTIFY: [&str; 3] = ["name", "text", "data"];
/// How deep templates may be nested.
const DEPTH: usize = 16;

impl Reader<'_> {
    pub(super) fn effects(
        &mut self,
        entries: &[Entry],
        schema: &Schema,
        about: &About<'_>,
    ) -> Option<Effects> {
        let before = self.problems.len();
        let set = find(entries, "set").and_then(|node| self.sets(node, schema, about)).unwrap_or_default();
        let notify = find(entries, "notify").and_then(|node| self.notify(node, schema, about));
        let emit = find(entries, "emit").and_then(|node| self.emit(node, schema, about));
        (self.problems.len() == before).then_some(Effects { set, notify, emit })
    }

    fn sets(&mut self, node: &Node, schema: &Schema, about: &About<'_>) -> Option<Vec<SetParameter>> {
        let entries = self.take(node.table("set"))?;
        let mut sets = Vec::new();
        for entry in entries {
            let path = format!("parameter.{}", entry.key);
            let Some(kind) = schema.given.get(&path) else {
                let names = schema.given.keys().filter_map(|path| path.strip_prefix("parameter."));
                self.stranger(entry, names.collect());
                continue;
            };
            let member = self.member(entry, kind, schema, about);
            sets.extend(member.map(SetParameter));
        }
        sets.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        Some(sets)
    }

    fn notify(&mut self, node: &Node, schema: &Schema, about: &About<'_>) -> Option<Notify> {
        let entries = self.take(node.table("notify"))?;
        self.known(entries, &NOTIFY);
        let needs =
            |key| Misfit { offset: node.start, problem: Problem::MissingKey { what: "notification", key } };
        let name = self.take(find(entries, "name").ok_or_else(|| needs("name")))?;
        let text = self.take(find(entries, "text").ok_or_else(|| needs("text")))?;
        let text = self.pieces(text, schema, about);
        let called = self.take(name.text("name"))?;
        let Some(members) = schema.notifications.get(called) else {
            let known = schema.notifications.keys().map(String::as_str);
            let suggestion = nearest(called, known.clone());
            let (found, expected) = (called.chars().take(64).collect(), known.collect::<Vec<_>>().join(", "));
            self.note(Misfit {
                offset: name.start,
                problem: Problem::UnknownKey { found, expected, suggestion },
            });
            return None;
        };
        let data = find(entries, "data");
        let given = match data {
            Some(data) => self.take(data.table("data"))?,
            None => &[],
        };
        let at = data.map_or(node.start, |data| data.start);
        let what = format!("notification {called}");
        let data = self.members(given, at, &what, members, schema, about)?;
        Some(Notify { name: called.to_owned(), text: text?, data })
    }

    fn emit(&mut self, node: &Node, schema: &Schema, about: &About<'_>) -> Option<Emit> {
        let entries = self.take(node.table("emit"))?;
        self.known(entries, &EMIT);
        let missing =
            || Misfit { offset: node.start, problem: Problem::MissingKey { what: "action", key: "kind" } };
        let kind = self.take(find(entries, "kind").ok_or_else(missing))?;
        let text = self.take(kind.text("kind"))?;
        let wrong = |error: daa_core::id::IdError| {
            let pattern = text.chars().take(64).collect();
            Misfit { offset: kind.start, problem: Problem::Pattern { pattern, message: error.to_string() } }
        };
        let kind = self.take(ActionKind::new(text).map_err(wrong))?;
        let data = find(entries, "params");
        let given = match data {
            Some(data) => self.take(data.table("params"))?,
            None => &[],
        };
        let at = data.map_or(node.start, |data| data.start);
        let on = KindPattern::from(kind.clone());
        let params = match schema.params_of(&on) {
            Params::Of(members) => {
                self.members(given, at, &format!("action {kind}"), members, schema, about)?
            }
            // Nothing is declared of this kind.
            Params::Any | Params::Several(_) => {
                let all = given.iter().filter_map(|entry| self.member(entry, &Type::Any, schema, about));
                sorted(all.collect())
            }
        };
        let cost = match find(entries, "cost") {
            Some(cost) => Some(self.cost(node, cost, find(entries, "decimals"), schema, about)?),
            None => None,
        };
        Some(Emit { kind, params, cost })
    }

    fn cost(
        &mut self,
        node: &Node,
        cost: &Node,
        decimals: Option<&Node>,
        schema: &Schema,
        about: &About<'_>,
    ) -> Option<Cost> {
        let text = self.take(cost.text("cost"))?;
        let of = self.compiled(cost, text, Condition::compile_value_about(text, schema, about))?;
        if !matches!(of.kind(), Type::Money | Type::Any) {
            self.misfit(cost.start, "cost", "money", &of.kind().to_string());
            return None;
        }
        let missing =
            || Misfit { offset: node.start, problem: Problem::MissingKey { what: "cost", key: "decimals" } };
        let decimals = self.take(decimals.ok_or_else(missing))?;
        let places = self.take(decimals.unsigned("decimals"))?;
        match u8::try_from(places) {
            Ok(places) if places <= 38 => Some(Cost { of, decimals: places }),
            _ => {
                let problem = Problem::Limit { what: "decimal places of a currency", limit: 38 };
                self.note(Misfit { offset: decimals.start, problem });
                None
            }
        }
    }

    /// Values for what is declared: all that is not optional, and nothing else.
    fn members(
        &mut self,
        given: &[Entry],
        at: usize,
        what: &str,
        declared: &Members,
        schema: &Schema,
        about: &About<'_>,
    ) -> Option<Vec<Member>> {
        let mut all = Vec::new();
        for entry in given {
            match declared.attribute(&entry.key) {
                Some(attribute) => all.extend(self.member(entry, &attribute.kind, schema, about)),
                None => self.stranger(entry, declared.names().collect()),
            }
        }
        for needed in declared.iter().filter(|declared| !declared.optional) {
            if !given.iter().any(|entry| entry.key == needed.name) {
                let problem = Problem::Needs { what: what.to_owned(), name: needed.name.clone() };
                self.note(Misfit { offset: at, problem });
            }
        }
        Some(sorted(all))
    }

    fn member(&mut self, entry: &Entry, kind: &Type, schema: &Schema, about: &About<'_>) -> Option<Member> {
        let template = self.template(&entry.value, schema, about, 0)?;
        if let Err(found) = template.could_be(kind) {
            self.misfit(entry.value.start, &entry.key, &kind.to_string(), &found);
            return None;
        }
        Some(Member { name: entry.key.clone(), kind: kind.clone(), template })
    }

    fn template(
        &mut self,
        node: &Node,
        schema: &Schema,
        about: &About<'_>,
        depth: usize,
    ) -> Option<Template> {
        if depth > DEPTH {
            let problem = Problem::Limit { what: "levels of a template", limit: DEPTH };
            self.note(Misfit { offset: node.start, problem });
            return None;
        }
        Some(match &node.content {
            Content::Text(text) => {
                let compiled = Condition::compile_value_about(text, schema, about);
                Template::Expression(self.compiled(node, text, compiled)?)
            }
            Content::List(items) => {
                let items: Vec<_> =
                    items.iter().map(|item| self.template(item, schema, about, depth + 1)).collect();
                Template::List(items.into_iter().collect::<Option<_>>()?)
            }
            Content::Table(entries) => {
                let member = |entry: &Entry| {
                    Some((entry.key.clone(), self.template(&entry.value, schema, about, depth + 1)?))
                };
                let members: Vec<_> = entries.iter().map(member).collect();
                let mut members = members.into_iter().collect::<Option<Vec<_>>>()?;
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
                Template::Table(members)
            }
            _ => Template::Literal(self.take(node.json())?),
        })
    }

    /// A text with `${...}` in it.
    fn pieces(&mut self, node: &Node, schema: &Schema, about: &About<'_>) -> Option<Vec<Piece>> {
        let text = self.take(node.text("text"))?;
        self.take(limited(node, text, "bytes in a text", Limits::TEXT))?;
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((plain, behind)) = rest.split_once("${") {
            let Some((expression, after)) = behind.split_once('}') else {
                self.note(Misfit { offset: node.start, problem: Problem::OpenTemplate });
                return None;
            };
            pieces.push(Piece::Plain(plain.to_owned()));
            let compiled = Condition::compile_value_about(expression, schema, about);
            let before = text.len() - behind.len();
            let skipped = text.get(..before).map_or(0, |part| part.chars().count());
            let compiled = compiled
                .map_err(|errors| errors.into_iter().map(|error| error.moved(skipped)).collect::<Vec<_>>());
            let expression = self.compiled(node, text, compiled)?;
            if matches!(expression.kind(), Type::List(_) | Type::Map(_) | Type::Record(_) | Type::Null) {
                let found = expression.kind().to_string();
                self.note(Misfit { offset: node.start, problem: Problem::NotText { found } });
                return None;
            }
            pieces.push(Piece::Expression(expression));
            rest = after;
        }
        pieces.push(Piece::Plain(rest.to_owned()));
        Some(pieces)
    }

    fn stranger(&mut self, entry: &Entry, known: Vec<&str>) {
        let suggestion = nearest(&entry.key, known.iter().copied());
        let (found, expected) = (entry.key.chars().take(64).collect(), known.join(", "));
        self.note(Misfit { offset: entry.at, problem: Problem::UnknownKey { found, expected, suggestion } });
    }

    pub(super) fn misfit(&mut self, offset: usize, what: &str, declared: &str, found: &str) {
        let problem =
            Problem::Misfit { what: what.to_owned(), declared: declared.to_owned(), found: found.to_owned() };
        self.note(Misfit { offset, problem });
    }
}

/// Their order has no meaning, and so does not matter to the digest.
fn sorted(mut members: Vec<Member>) -> Vec<Member> {
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members
}
