//! Tables `[sequence.NAME]`: what was done before, in an order.

use super::counters::span;
use super::{Reader, find, pattern, unknown_name};
use crate::condition::Condition;
use crate::document::{Content, Entry, Misfit, Node};
use crate::limits::Limits;
use crate::memory::{Counter, Extent, Last, Measure, Sequence, Step, Tie, Wanted};
use crate::pattern::KindPattern;
use crate::problem::Problem;
use crate::schema::Schema;

const SEQUENCE: [&str; 4] = ["per", "within", "in_a_row", "step"];
const STEP: [&str; 6] = ["on", "when", "outcome", "same", "other", "times"];

impl Reader<'_> {
    pub(super) fn sequence(&mut self, entry: &Entry, schema: &Schema) -> Option<Counter> {
        let entries = self.take(entry.value.table(&entry.key))?;
        self.known(entries, &SEQUENCE);
        let node = self.required(entry, "sequence", "within")?;
        let within = Extent::Sliding(self.take(span(node, "within"))?);
        let in_a_row = self.value(entries, "in_a_row", flag).unwrap_or_default();
        let node = self.required(entry, "sequence", "step")?;
        let nodes = self.take(node.list("step", "a list of steps"))?;
        let Some((last, before)) = nodes.split_last().filter(|(_, before)| !before.is_empty()) else {
            self.note(Misfit { offset: node.start, problem: Problem::TooFewSteps });
            return None;
        };
        let last = self.last_step(last, schema)?;
        let before = self.steps(before, schema, &last.on)?;
        let per = match find(entries, "per") {
            Some(node) => self.common(&before, &last, |reader, on| reader.keys(node, schema, on))?,
            None => Vec::new(),
        };
        let on = last.on.clone();
        let sequence = Sequence { before, last, within, in_a_row };
        Some(Counter::new(&entry.key, on, None, Measure::Sequence(sequence), per))
    }

    /// What is said of actions of all kinds that the sequence speaks of: it has to make sense for each of them.
    fn common<T>(
        &mut self,
        before: &[Step],
        last: &Last,
        mut read: impl FnMut(&mut Self, &KindPattern) -> Option<T>,
    ) -> Option<T> {
        let common = read(self, &last.on)?;
        let mut kinds: Vec<&KindPattern> =
            before.iter().map(|step| &step.on).filter(|on| **on != last.on).collect();
        kinds.dedup();
        for on in &kinds {
            read(self, on)?;
        }
        if kinds.is_empty() { Some(common) } else { read(self, &KindPattern::any()) }
    }

    fn last_step(&mut self, node: &Node, schema: &Schema) -> Option<Last> {
        let entries = self.take(node.table("step"))?;
        self.known(entries, &STEP);
        if let Some(entry) = entries.iter().find(|entry| !matches!(entry.key.as_str(), "on" | "when")) {
            self.note(Misfit { offset: entry.at, problem: Problem::LastStep });
            return None;
        }
        let on = self.kind_of_step(node, entries)?;
        let when = self.condition_of_step(entries, schema, &on)?;
        Some(Last { on, when })
    }

    fn steps(&mut self, nodes: &[Node], schema: &Schema, last: &KindPattern) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        for node in nodes {
            let entries = self.take(node.table("step"))?;
            self.known(entries, &STEP);
            let on = self.kind_of_step(node, entries)?;
            let when = self.condition_of_step(entries, schema, &on)?;
            let outcome = self.value(entries, "outcome", outcome).unwrap_or(Wanted::Any);
            let mut ties = Vec::new();
            for (key, same) in [("same", true), ("other", false)] {
                let Some(node) = find(entries, key) else { continue };
                let all = self.ties(node, key, schema, &on)?;
                // What it comes to is compared with what it comes to in the last step.
                let all = if on == *last { all } else { self.ties_between(node, key, schema, last)? };
                ties.extend(all.into_iter().map(|of| Tie { of, same }));
            }
            let times = self.value(entries, "times", |node| node.unsigned("times")).unwrap_or(1);
            let times = usize::try_from(times).unwrap_or(usize::MAX);
            if times == 0 || times > Limits::SEQUENCE_STEPS - steps.len() {
                let problem = Problem::Limit { what: "steps in a sequence", limit: Limits::SEQUENCE_STEPS };
                self.note(Misfit { offset: node.start, problem });
                return None;
            }
            let step = Step { on, when, outcome, ties };
            steps.extend(std::iter::repeat_n(step, times));
        }
        Some(steps)
    }

    fn kind_of_step(&mut self, node: &Node, entries: &[Entry]) -> Option<KindPattern> {
        let missing =
            || Misfit { offset: node.start, problem: Problem::MissingKey { what: "step", key: "on" } };
        self.take(find(entries, "on").ok_or_else(missing).and_then(pattern))
    }

    #[expect(clippy::option_option, reason = "there may be no condition, and a wrong one is no value")]
    fn condition_of_step(
        &mut self,
        entries: &[Entry],
        schema: &Schema,
        on: &KindPattern,
    ) -> Option<Option<Condition>> {
        let Some(node) = find(entries, "when") else { return Some(None) };
        let text = self.take(node.text("when"))?;
        Some(Some(self.condition(node, text, schema, on)?))
    }

    /// Ties of actions of different kinds: they have to make sense for both.
    fn ties_between(
        &mut self,
        node: &Node,
        key: &str,
        schema: &Schema,
        last: &KindPattern,
    ) -> Option<Vec<Condition>> {
        self.ties(node, key, schema, last)?;
        self.ties(node, key, schema, &KindPattern::any())
    }

    fn ties(&mut self, node: &Node, key: &str, schema: &Schema, on: &KindPattern) -> Option<Vec<Condition>> {
        let items = self.take(node.list(key, "a list of expressions"))?;
        if let Some(item) = items.get(Limits::TIES) {
            let problem = Problem::Limit { what: "expressions in a step", limit: Limits::TIES };
            self.note(Misfit { offset: item.start, problem });
            return None;
        }
        items.iter().map(|item| self.expression(item, key, schema, on)).collect()
    }
}

fn outcome(node: &Node) -> Result<Wanted, Misfit> {
    let text = node.text("outcome")?;
    Wanted::parse(text).ok_or_else(|| unknown_name(node, "outcome", text, Wanted::NAMES))
}

fn flag(node: &Node) -> Result<bool, Misfit> {
    match &node.content {
        Content::Bool(flag) => Ok(*flag),
        _ => Err(node.wrong("in_a_row", "true or false")),
    }
}
