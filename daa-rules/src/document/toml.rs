//! TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Content, Entry, Misfit, Node};
use crate::problem::Problem;

pub(crate) fn parse(source: &str) -> Result<Node, Misfit> {
    match DeTable::parse(source) {
        Ok(table) => {
            let span = table.span();
            Ok(Node { start: span.start, end: span.end, content: table_of(table.get_ref()) })
        }
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            Err(Misfit { offset, problem: Problem::Syntax { language: "TOML", message } })
        }
    }
}

fn table_of(table: &DeTable<'_>) -> Content {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            at: key.span().start,
            value: node_of(value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.at);
    Content::Table(entries)
}

fn node_of(value: &Spanned<DeValue<'_>>) -> Node {
    let content = match value.get_ref() {
        DeValue::String(text) => Content::Text(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Content::Other, Content::Integer)
        }
        DeValue::Boolean(bool) => Content::Bool(*bool),
        DeValue::Float(float) => {
            float.as_str().replace('_', "").parse().map_or(Content::Other, Content::Float)
        }
        DeValue::Datetime(_) => Content::Other,
        DeValue::Array(items) => Content::List(items.iter().map(node_of).collect()),
        DeValue::Table(table) => table_of(table),
    };
    let span = value.span();
    Node { start: span.start, end: span.end, content }
}
