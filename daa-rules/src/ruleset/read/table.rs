//! Decision tables: rows that become rules.
//!
//! A table has inputs, which are expressions, and rows with a test for each. A row is the rule whose condition is that
//! all its tests hold, and is checked, indexed and explained like any other.

use std::collections::HashMap;

use daa_core::id::RuleId;

use super::{Reader, find, pattern};
use crate::condition::{Condition, ConditionError};
use crate::document::{Content, Entry, Misfit, Node, offset_in_value};
use crate::limits::Limits;
use crate::problem::Problem;
use crate::ruleset::Rule;
use crate::schema::Schema;

const TABLE: [&str; 5] = ["id", "on", "inputs", "effect", "row"];
const ROW: [&str; 6] = ["id", "when", "effect", "reason", "priority", "on_indeterminate"];
/// What a cell can begin with, longest first.
const OPERATORS: [&str; 7] = ["==", "!=", "<=", ">=", "<", ">", "in "];

impl Reader<'_> {
    /// The rules of all tables. `ids` are the names that are taken, and where.
    pub(super) fn tables(
        &mut self,
        nodes: &[Node],
        schema: &Schema,
        ids: &mut HashMap<RuleId, usize>,
        rules: &mut Vec<Rule>,
    ) {
        for (index, node) in nodes.iter().enumerate() {
            if self.is_full() {
                return;
            }
            self.table(node, index, schema, ids, rules);
        }
    }

    fn table(
        &mut self,
        node: &Node,
        index: usize,
        schema: &Schema,
        ids: &mut HashMap<RuleId, usize>,
        rules: &mut Vec<Rule>,
    ) -> Option<()> {
        let entries = self.take(node.table("table"))?;
        self.known(entries, &TABLE);
        let required = |key: &'static str| {
            let missing =
                || Misfit { offset: node.start, problem: Problem::MissingKey { what: "table", key } };
            find(entries, key).ok_or_else(missing)
        };
        let name = match find(entries, "id") {
            Some(node) => self.take(node.text("id"))?.to_owned(),
            None => format!("table-{}", index + 1),
        };
        let on = self.take(required("on").and_then(pattern));
        let inputs =
            self.take(required("inputs").and_then(|node| node.list("inputs", "a list of expressions")));
        let rows = self.take(required("row").and_then(|node| node.list("row", "a list of rows")));
        let (on, inputs, rows) = (on?, inputs?, rows?);
        let inputs: Vec<_> = inputs
            .iter()
            .map(|input| self.take(input.text("inputs").map(|text| (input, text))))
            .collect::<Option<_>>()?;
        for (number, row) in rows.iter().enumerate() {
            if rules.len() >= Limits::RULES {
                let problem = Problem::Limit { what: "rules in a ruleset", limit: Limits::RULES };
                self.note(Misfit { offset: row.start, problem });
                return None;
            }
            if self.is_full() {
                return None;
            }
            let Some((id, at)) = self.row_id(row, &name, number) else { continue };
            self.claim(&id, at, ids);
            let Some(cells) = self.take(row.table("row")) else { continue };
            self.known(cells, &ROW);
            let Some(line) = self.line(row, cells, &inputs) else { continue };
            let Some(condition) = self.row_condition(&line, schema, &on) else { continue };
            let when_at = find(cells, "when").map_or(at, |node| node.start);
            let effect = find(cells, "effect").or_else(|| find(entries, "effect"));
            let rule = self.rest(row, cells, effect, id, at);
            rules.extend(rule.map(|rest| {
                rest.with(on.clone(), condition.map(|condition| (line.text, condition)), self.place(when_at))
            }));
        }
        Some(())
    }

    /// `TABLE/ROW`, where the row has a name, or else its number.
    fn row_id(&mut self, row: &Node, table: &str, number: usize) -> Option<(RuleId, usize)> {
        let entries = self.take(row.table("row"))?;
        let (name, at) = match find(entries, "id") {
            Some(node) => (self.take(node.text("id"))?.to_owned(), node.start),
            None => ((number + 1).to_string(), row.start),
        };
        let id = RuleId::new(format!("{table}/{name}")).map(|id| (id, at));
        self.take(id.map_err(|error| Misfit { offset: at, problem: Problem::Id(error) }))
    }

    /// The condition of a row as text, with what each part of it was made of.
    fn line<'n>(
        &mut self,
        row: &Node,
        cells: &'n [Entry],
        inputs: &[(&'n Node, &'n str)],
    ) -> Option<Line<'n>> {
        let Some(when) = find(cells, "when") else {
            let problem = Problem::MissingKey { what: "row", key: "when" };
            self.note(Misfit { offset: row.start, problem });
            return None;
        };
        let tests = self.take(when.list("when", "a list of tests, one for each input"))?;
        if tests.len() != inputs.len() {
            let problem = Problem::Cells { found: tests.len(), expected: inputs.len() };
            self.note(Misfit { offset: when.start, problem });
            return None;
        }
        let mut line = Line { text: String::new(), parts: Vec::new() };
        for ((input, expression), test) in inputs.iter().zip(tests) {
            self.take(line.add(input, expression, test))?;
        }
        Some(line)
    }

    /// `None` for a problem; `Some(None)` for a row that always matches.
    fn row_condition(
        &mut self,
        line: &Line<'_>,
        schema: &Schema,
        on: &crate::pattern::KindPattern,
    ) -> Option<Option<Condition>> {
        if line.text.is_empty() {
            return Some(None);
        }
        match Condition::compile(&line.text, schema, &schema.params_of(on)) {
            Ok(condition) => Some(Some(condition)),
            Err(errors) => {
                for error in errors {
                    let misfit = line.misfit(self.source, error);
                    self.note(misfit);
                }
                None
            }
        }
    }
}

/// A condition that was put together.
struct Line<'n> {
    text: String,
    /// An input, its test, the next input, and so on.
    parts: Vec<Part<'n>>,
}

/// Characters of a condition that stand in one value of the file.
struct Part<'n> {
    /// From this character of the condition on.
    from: usize,
    node: &'n Node,
    /// From this character of the value on.
    skipped: usize,
}

impl<'n> Line<'n> {
    fn add(&mut self, input: &'n Node, expression: &str, test: &'n Node) -> Result<(), Misfit> {
        let cell = match &test.content {
            Content::Text(text) => text.clone(),
            Content::Integer(integer) => integer.to_string(),
            Content::Float(float) => format!("{float:?}"),
            Content::Bool(bool) => bool.to_string(),
            _ => return Err(test.wrong("a test", "a string, a number or a boolean")),
        };
        let trimmed = cell.trim();
        if matches!(trimmed, "" | "-") {
            return Ok(());
        }
        closed(expression).map_err(|problem| Misfit { offset: input.start, problem })?;
        closed(trimmed).map_err(|problem| Misfit { offset: test.start, problem })?;
        let operator = OPERATORS.into_iter().find(|operator| trimmed.starts_with(operator));
        let value =
            operator.and_then(|operator| trimmed.strip_prefix(operator)).unwrap_or(trimmed).trim_start();
        let before = cell.chars().count() - cell.trim_start().chars().count();
        let skipped = before + trimmed.chars().count() - value.chars().count();
        if !self.text.is_empty() {
            self.text.push_str(" && ");
        }
        self.push(expression, input, 0);
        self.text.push(' ');
        self.text.push_str(operator.unwrap_or("==").trim_end());
        self.text.push(' ');
        self.push(value, test, skipped);
        Ok(())
    }

    /// Adds a part, in brackets where it could be read together with what stands beside it.
    fn push(&mut self, part: &str, node: &'n Node, skipped: usize) {
        let is_plain = part.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_'));
        self.text.push_str(if is_plain { "" } else { "(" });
        self.parts.push(Part { from: self.text.chars().count(), node, skipped });
        self.text.push_str(part);
        self.text.push_str(if is_plain { "" } else { ")" });
    }

    /// Where an error of the whole stands in the file.
    fn misfit(&self, source: &str, error: ConditionError) -> Misfit {
        let at = self.parts.iter().rposition(|part| part.from <= error.index).unwrap_or_default();
        // An input and its test do not fit: that is for the row to tell, and it begins where the input does.
        let is_between = match &error.problem {
            Problem::NotListed { .. } => true,
            Problem::Operands { operator, .. } => OPERATORS.iter().any(|known| known.trim_end() == *operator),
            _ => false,
        };
        let is_input = at % 2 == 0;
        let (at, index) = if is_between && is_input { (at + 1, 0) } else { (at, error.index) };
        let Some(Part { from, node, skipped }) = self.parts.get(at) else {
            return Misfit { offset: 0, problem: error.problem };
        };
        let offset = match &node.content {
            Content::Text(text) => {
                let index = (index.saturating_sub(*from) + skipped).min(text.chars().count());
                offset_in_value(source, node.start, node.end, text, index)
            }
            _ => node.start,
        };
        Misfit { offset, problem: error.problem }
    }
}

/// Refuses a part that does not end by itself: it would take in what stands behind it.
fn closed(part: &str) -> Result<(), Problem> {
    let open = |message: &str| Err(Problem::Expression { message: message.to_owned() });
    let (mut depth, mut quote, mut chars) = (0usize, None, part.chars().peekable());
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some(_), '\\') => drop(chars.next()),
            (Some(end), char) if char == end => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(char),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return open("a bracket is closed that was not opened"),
            },
            (None, '/') if chars.peek() == Some(&'/') => return open("a cell has no comments"),
            (None, _) => {}
        }
    }
    if depth > 0 {
        return open("a bracket is not closed");
    }
    if quote.is_some() { open("a string is not closed") } else { Ok(()) }
}
