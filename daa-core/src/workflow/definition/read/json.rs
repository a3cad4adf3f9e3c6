//! JSON, with positions.
//!
//! serde_json judges the text and reads its strings and numbers; only the structure is walked here, in text that is
//! known to be JSON.

use std::collections::BTreeSet;

use serde::de::IgnoredAny;
use serde_json::Number;

use super::error::{Flaw, Misread};
use super::tree::{Content, Entry, Node, check_depth};

pub(super) fn parse(text: &str) -> Result<Node, Misread> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        let begin =
            text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        let offset = (begin + error.column().saturating_sub(1)).min(text.len());
        let offset = (0..=offset).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
        return Err(Misread::at(offset, Flaw::Syntax { message }));
    }
    Walk { text, at: 0 }.value(0)
}

struct Walk<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Walk<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.rest().chars().next()
    }

    fn skip(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += if there { wanted.len_utf8() } else { 0 };
        there
    }

    fn value(&mut self, depth: usize) -> Result<Node, Misread> {
        let first = self.peek();
        let start = self.at;
        check_depth(depth, start)?;
        let content = match first {
            Some('{') => self.table(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Content::Text(self.string()?),
            _ => self.word()?,
        };
        Ok(Node { start, content })
    }

    fn list(&mut self, depth: usize) -> Result<Content, Misread> {
        let mut items = Vec::new();
        self.skip('[');
        while !self.skip(']') {
            let at = items.len();
            items.push(self.value(depth + 1).map_err(|misread| misread.within(at))?);
            self.skip(',');
        }
        Ok(Content::List(items))
    }

    fn table(&mut self, depth: usize) -> Result<Content, Misread> {
        let mut entries = Vec::new();
        let mut known = BTreeSet::new();
        self.skip('{');
        while !self.skip('}') {
            let at = self.at;
            let key = self.string()?;
            if !known.insert(key.clone()) {
                return Err(Misread::at(at, Flaw::DuplicateKey { key: key.clone() }).within(key));
            }
            self.skip(':');
            let value = self.value(depth + 1).map_err(|misread| misread.within(&key))?;
            entries.push(Entry { key, at, value });
            self.skip(',');
        }
        Ok(Content::Table(entries))
    }

    fn string(&mut self) -> Result<String, Misread> {
        let rest = self.rest();
        let mut escaped = true;
        // The quote that opens it counts as escaped.
        let end = rest.find(|char| {
            let ends = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            ends
        });
        let raw = end.and_then(|end| rest.get(..=end)).unwrap_or(rest);
        let start = self.at;
        self.at += raw.len();
        let syntax = |error: serde_json::Error| Flaw::Syntax { message: error.to_string() };
        serde_json::from_str(raw).map_err(|error| Misread::at(start, syntax(error)))
    }

    fn word(&mut self) -> Result<Content, Misread> {
        let rest = self.rest();
        let end = rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        let start = self.at;
        self.at += word.len();
        match word {
            "null" => Ok(Content::Null),
            "true" => Ok(Content::Bool(true)),
            "false" => Ok(Content::Bool(false)),
            number => self::number(number)
                .map(Content::Number)
                .ok_or_else(|| Misread::at(start, Flaw::Number { text: number.chars().take(40).collect() })),
        }
    }
}

/// A number, if it is not changed by storing it.
pub(super) fn number(text: &str) -> Option<Number> {
    let number: Number = serde_json::from_str(text).ok()?;
    let whole = !text.contains(['.', 'e', 'E']);
    (!whole || !number.is_f64() || text == "-0").then_some(number)
}
