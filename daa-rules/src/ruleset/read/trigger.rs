//! Rules that do something: what triggers them.

use serde_json::Value;

use super::{Reader, find, pattern, pattern_of};
use crate::condition::{About, Condition};
use crate::document::{Content, Entry, Misfit, Node, offset_in_value};
use crate::limits::Limits;
use crate::problem::Problem;
use crate::ruleset::Place;
use crate::schema::Schema;
use crate::trigger::{CronTrigger, Rate, Threshold, Trigger, TriggeredRule};

/// What a rule says that does something.
pub(super) const DOES: [&str; 4] = ["emit", "notify", "set", "rate"];
/// The keys of a rule that does something after a decision, and decides nothing itself.
pub(super) const AFTER: [&str; 7] = TRIGGERED;
const TRIGGERED: [&str; 7] = ["id", "on", "when", "emit", "notify", "set", "rate"];
const EVENT: [&str; 1] = ["event"];
const CRON: [&str; 2] = ["cron", "zone"];
const VALUE: [&str; 4] = ["value", "above", "below", "clear"];
const ON: [&str; 7] = ["event", "cron", "zone", "value", "above", "below", "clear"];

impl Reader<'_> {
    /// A rule that is triggered by something else than an action: its `on` is a table.
    pub(super) fn triggered(
        &mut self,
        node: &Node,
        name: (daa_core::id::RuleId, Place),
        schema: &Schema,
    ) -> Option<TriggeredRule> {
        let entries = self.take(node.table("rule"))?;
        self.known(entries, &TRIGGERED);
        let trigger = find(entries, "on").and_then(|node| self.trigger(node, schema))?;
        self.reacting(node, entries, name, trigger, schema)
    }

    /// What a rule does once a decision on an action is on record, if it does anything.
    pub(super) fn after_decision(
        &mut self,
        node: &Node,
        name: (daa_core::id::RuleId, Place),
        schema: &Schema,
    ) -> Option<TriggeredRule> {
        let entries = self.take(node.table("rule"))?;
        let on = self.take(find(entries, "on").map(pattern)?)?;
        self.reacting(node, entries, name, Trigger::Decision(on), schema)
    }

    fn reacting(
        &mut self,
        node: &Node,
        entries: &[Entry],
        name: (daa_core::id::RuleId, Place),
        trigger: Trigger,
        schema: &Schema,
    ) -> Option<TriggeredRule> {
        let about = match &trigger {
            Trigger::Decision(on) => About::Decided(schema.params_of(on)),
            Trigger::Event(on) => About::Event(schema.data_of(on)),
            Trigger::Schedule(_) => About::Schedule,
            Trigger::Threshold(threshold) => About::Threshold(threshold.kind().clone()),
        };
        let (when, when_at) = match find(entries, "when") {
            Some(node) => {
                let text = self.take(node.text("when"))?;
                let condition = Condition::compile_about(text, schema, &about);
                (Some((text.to_owned(), self.compiled(node, text, condition)?)), self.place(node.start))
            }
            None => (None, name.1),
        };
        let effects = self.effects(entries, schema, &about)?;
        let rate = match find(entries, "rate") {
            Some(node) => self.rate(node)?,
            None => Rate::default(),
        };
        if effects.is_empty() {
            let problem = Problem::MissingKey { what: "rule that is triggered", key: "emit, notify or set" };
            self.note(Misfit { offset: node.start, problem });
            return None;
        }
        Some(TriggeredRule::new(name, trigger, (when, when_at), effects, rate))
    }

    /// What was compiled; what is wrong with it is noted where it stands.
    pub(super) fn compiled(
        &mut self,
        node: &Node,
        text: &str,
        condition: Result<Condition, Vec<crate::condition::ConditionError>>,
    ) -> Option<Condition> {
        match condition {
            Ok(condition) => Some(condition),
            Err(errors) => {
                for error in errors {
                    let offset = offset_in_value(self.source, node.start, node.end, text, error.index);
                    self.note(Misfit { offset, problem: error.problem });
                }
                None
            }
        }
    }

    fn trigger(&mut self, node: &Node, schema: &Schema) -> Option<Trigger> {
        let entries = self.take(node.table("on"))?;
        if let Some(event) = find(entries, "event") {
            self.known(entries, &EVENT);
            let text = self.take(event.text("event"))?;
            return self.take(pattern_of(text, event.start)).map(Trigger::Event);
        }
        if let Some(cron) = find(entries, "cron") {
            self.known(entries, &CRON);
            return self.cron(entries, cron).map(Trigger::Schedule);
        }
        if let Some(value) = find(entries, "value") {
            self.known(entries, &VALUE);
            let threshold = self.threshold(node, entries, value, schema)?;
            return Some(Trigger::Threshold(Box::new(threshold)));
        }
        self.known(entries, &ON);
        let problem = Problem::MissingKey { what: "trigger", key: "event, cron or value" };
        self.note(Misfit { offset: node.start, problem });
        None
    }

    #[cfg(feature = "schedule")]
    fn cron(&mut self, entries: &[Entry], cron: &Node) -> Option<CronTrigger> {
        let pattern = self.take(cron.text("cron"))?;
        let zone = match find(entries, "zone") {
            Some(node) => self.take(node.text("zone"))?,
            None => "UTC",
        };
        let wrong = |message| Misfit { offset: cron.start, problem: Problem::Schedule { message } };
        self.take(CronTrigger::parse(pattern, zone).map_err(wrong))
    }

    #[cfg(not(feature = "schedule"))]
    fn cron(&mut self, _: &[Entry], cron: &Node) -> Option<CronTrigger> {
        self.note(Misfit { offset: cron.start, problem: Problem::NoSchedules });
        None
    }

    fn threshold(
        &mut self,
        node: &Node,
        entries: &[Entry],
        value: &Node,
        schema: &Schema,
    ) -> Option<Threshold> {
        let text = self.take(value.text("value"))?;
        let compiled = Condition::compile_value_about(text, schema, &About::Value);
        let expression = self.compiled(value, text, compiled)?;
        let (above, below) = (find(entries, "above"), find(entries, "below"));
        let (is_above, bound) = match (above, below) {
            (Some(bound), None) => (true, bound),
            (None, Some(bound)) => (false, bound),
            _ => {
                let problem = Problem::Threshold { what: "a threshold has either above or below" };
                self.note(Misfit { offset: node.start, problem });
                return None;
            }
        };
        let at = bound.start;
        let bound = self.take(bound.json())?;
        let clear: Option<Value> = match find(entries, "clear") {
            Some(node) => Some(self.take(node.json())?),
            None => None,
        };
        let wrong = |what| Misfit { offset: at, problem: Problem::Threshold { what } };
        self.take(Threshold::new(text, expression, is_above, bound, clear).map_err(wrong))
    }

    fn rate(&mut self, node: &Node) -> Option<Rate> {
        let entries = self.take(node.table("rate"))?;
        self.known(entries, &["times", "span"]);
        let needs = |key| Misfit { offset: node.start, problem: Problem::MissingKey { what: "rate", key } };
        let times = self.take(find(entries, "times").ok_or_else(|| needs("times")))?;
        let count = self.take(times.unsigned("times"))?;
        let span = self.take(find(entries, "span").ok_or_else(|| needs("span")))?;
        let span = self.take(super::counters::span(span, "span"))?;
        match u32::try_from(count) {
            Ok(count @ 1..=Limits::MOST) => Some(Rate { times: count, span }),
            _ => {
                let problem = Problem::Limit { what: "firings in a span", limit: Limits::MOST as usize };
                self.note(Misfit { offset: times.start, problem });
                None
            }
        }
    }
}

/// Whether what triggers a rule is no kind of action.
pub(super) const fn is_table(node: &Node) -> bool {
    matches!(node.content, Content::Table(_))
}
