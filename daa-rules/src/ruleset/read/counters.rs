//! Tables `[window.NAME]`, `[seen.NAME]` and `[sequence.NAME]`: what is counted.

use std::time::Duration;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{Reader, find, is_name, pattern, unknown_name};
use crate::attribute::Type;
use crate::condition::Condition;
use crate::document::{Entry, Misfit, Node, offset_in_value};
use crate::limits::Limits;
use crate::memory::{Counter, Extent, Measure, Period};
use crate::pattern::KindPattern;
use crate::problem::Problem;
use crate::schema::Schema;

const WINDOW: [&str; 7] = ["on", "when", "sum", "per", "span", "calendar", "zone"];
const SEEN: [&str; 3] = ["on", "when", "per"];

impl Reader<'_> {
    /// Reads what is counted, and declares it: what was seen first, because windows may ask for it.
    pub(super) fn counters(&mut self, entries: &[Entry], schema: &mut Schema) -> Vec<Counter> {
        let mut all = Vec::new();
        for key in ["seen", "window", "sequence"] {
            let tables = self.value(entries, key, |node| node.table(key)).unwrap_or_default();
            if let Some(entry) = tables.get(Limits::COUNTERS) {
                let problem = Problem::Limit { what: "tables of what is counted", limit: Limits::COUNTERS };
                self.note(Misfit { offset: entry.at, problem });
                return all;
            }
            let before = all.len();
            for entry in tables {
                if is_name(&entry.key) {
                    all.extend(self.counter(key, entry, schema));
                } else {
                    let name = entry.key.chars().take(100).collect();
                    self.note(Misfit { offset: entry.at, problem: Problem::Name { name } });
                }
            }
            for counter in all.iter().skip(before) {
                schema.given.insert(counter.path.clone(), kind(counter));
                if !counter.per.is_empty() || matches!(counter.measure, Measure::Seen) {
                    schema.keyed.insert(counter.path.clone());
                }
            }
        }
        all
    }

    fn counter(&mut self, key: &str, entry: &Entry, schema: &Schema) -> Option<Counter> {
        if key == "sequence" {
            return self.sequence(entry, schema);
        }
        let entries = self.take(entry.value.table(&entry.key))?;
        let (keys, what): (&[&str], _) =
            if key == "seen" { (&SEEN, "table of what was seen") } else { (&WINDOW, "window") };
        self.known(entries, keys);
        let on = self.required(entry, what, "on").and_then(|node| self.take(pattern(node)))?;
        let when = match find(entries, "when") {
            Some(node) => {
                let text = self.take(node.text("when"))?;
                Some(self.condition(node, text, schema, &on)?)
            }
            None => None,
        };
        let per = match find(entries, "per") {
            Some(node) => self.keys(node, schema, &on)?,
            None => Vec::new(),
        };
        let measure = if key == "seen" {
            Measure::Seen
        } else {
            let extent = self.extent(entry, entries)?;
            match find(entries, "sum") {
                Some(node) => Measure::Sum { of: self.expression(node, "sum", schema, &on)?, extent },
                None => Measure::Count { extent },
            }
        };
        Some(Counter::new(&entry.key, on, when, measure, per))
    }

    /// How long an action counts: a span, or a period of a calendar.
    fn extent(&mut self, entry: &Entry, entries: &[Entry]) -> Option<Extent> {
        let Some(node) = find(entries, "calendar") else {
            if let Some(zone) = find(entries, "zone") {
                self.note(Misfit { offset: zone.start, problem: Problem::Extent });
            }
            let node = self.required(entry, "window", "span")?;
            return self.take(span(node, "span")).map(Extent::Sliding);
        };
        if let Some(span) = find(entries, "span") {
            self.note(Misfit { offset: span.start, problem: Problem::Extent });
        }
        let period = self.take(period(node))?;
        let (name, zone) = match find(entries, "zone") {
            Some(node) => self.take(zone(node))?,
            None => ("UTC".to_owned(), TimeZone::UTC),
        };
        Some(Extent::Calendar { period, name, zone })
    }

    pub(super) fn required<'n>(
        &mut self,
        entry: &'n Entry,
        what: &'static str,
        key: &'static str,
    ) -> Option<&'n Node> {
        let entries = self.take(entry.value.table(&entry.key))?;
        let missing = || Misfit { offset: entry.at, problem: Problem::MissingKey { what, key } };
        self.take(find(entries, key).ok_or_else(missing))
    }

    pub(super) fn keys(&mut self, node: &Node, schema: &Schema, on: &KindPattern) -> Option<Vec<Condition>> {
        let items = self.take(node.list("per", "a list of expressions"))?;
        if let Some(item) = items.get(Limits::KEYS) {
            let problem = Problem::Limit { what: "expressions in a per", limit: Limits::KEYS };
            self.note(Misfit { offset: item.start, problem });
            return None;
        }
        items.iter().map(|item| self.expression(item, "per", schema, on)).collect()
    }

    /// An expression of any type.
    pub(super) fn expression(
        &mut self,
        node: &Node,
        key: &str,
        schema: &Schema,
        on: &KindPattern,
    ) -> Option<Condition> {
        let text = self.take(node.text(key))?;
        match Condition::compile_value(text, schema, &schema.params_of(on)) {
            Ok(expression) => Some(expression),
            Err(errors) => {
                for error in errors {
                    let offset = offset_in_value(self.source, node.start, node.end, text, error.index);
                    self.note(Misfit { offset, problem: error.problem });
                }
                None
            }
        }
    }
}

/// The type of what a counter counts.
fn kind(counter: &Counter) -> Type {
    match &counter.measure {
        Measure::Sum { of, .. } if *of.kind() == Type::Money => Type::Money,
        Measure::Sequence(_) => Type::Bool,
        _ => Type::Int,
    }
}

fn period(node: &Node) -> Result<Period, Misfit> {
    let text = node.text("calendar")?;
    Period::parse(text).ok_or_else(|| unknown_name(node, "period", text, Period::NAMES))
}

/// A name of the time zone database that this library carries, so that it means the same on every machine.
fn zone(node: &Node) -> Result<(String, TimeZone), Misfit> {
    let text = node.text("zone")?;
    let unknown = |_| {
        let name = text.chars().take(64).collect();
        Misfit { offset: node.start, problem: Problem::Zone { name } }
    };
    let zone = TimeZoneDatabase::bundled().get(text).map_err(unknown)?;
    Ok((zone.iana_name().unwrap_or(text).to_owned(), zone))
}

/// `90s`, `24h`, `7 days`.
pub(super) fn span(node: &Node, key: &str) -> Result<Duration, Misfit> {
    let text = node.text(key)?;
    let most = Duration::from_secs(Limits::SPAN_DAYS * 24 * 60 * 60);
    match humantime::parse_duration(text) {
        Ok(span) if span >= Duration::from_millis(1) && span <= most => Ok(span),
        _ => {
            let text = text.chars().take(64).collect();
            Err(Misfit { offset: node.start, problem: Problem::Span { text, days: Limits::SPAN_DAYS } })
        }
    }
}
