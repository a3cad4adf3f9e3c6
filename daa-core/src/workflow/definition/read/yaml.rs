//! YAML 1.2: one document, without anchors, aliases and tags, so that nothing can multiply.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::iter::Peekable;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::error::{Flaw, Misread};
use super::json;
use super::tree::{Content, Entry, Node, check_depth};

type Item<'s> = Result<(Event<'s>, Span), ScanError>;

pub(super) fn parse(source: &str) -> Result<Node, Misread> {
    let mut reader = Reader { source, events: Parser::new_from_str(source).peekable() };
    reader.next()?;
    if reader.peek_is(|event| matches!(event, Event::StreamEnd)) {
        return Ok(Node { start: 0, content: Content::Null });
    }
    reader.next()?;
    let root = reader.node(0)?;
    reader.next()?;
    let (event, span) = reader.next()?;
    if matches!(event, Event::StreamEnd) {
        return Ok(root);
    }
    Err(reader.syntax(&span.start, "a definition is one document, a second one begins here"))
}

struct Reader<'s, I: Iterator<Item = Item<'s>>> {
    source: &'s str,
    events: Peekable<I>,
}

impl<'s, I: Iterator<Item = Item<'s>>> Reader<'s, I> {
    fn next(&mut self) -> Result<(Event<'s>, Span), Misread> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let message = error.info().lines().next().unwrap_or_default().to_owned();
                Err(self.syntax(error.marker(), &message))
            }
            None => Err(self.syntax(&Marker::default(), "the document ends too early")),
        }
    }

    fn peek_is(&mut self, wanted: impl Fn(&Event<'s>) -> bool) -> bool {
        matches!(self.events.peek(), Some(Ok((event, _))) if wanted(event))
    }

    fn syntax(&self, at: &Marker, message: &str) -> Misread {
        Misread::at(self.offset(at), Flaw::Syntax { message: message.to_owned() })
    }

    fn offset(&self, at: &Marker) -> usize {
        let by_chars = || self.source.char_indices().nth(at.index()).map_or(self.source.len(), |(at, _)| at);
        at.byte_offset().unwrap_or_else(by_chars)
    }

    fn node(&mut self, depth: usize) -> Result<Node, Misread> {
        let (event, span) = self.next()?;
        let start = self.offset(&span.start);
        check_depth(depth, start)?;
        let content = match event {
            Event::Scalar(text, style, 0, None) => {
                scalar(text, style).map_err(|flaw| Misread::at(start, flaw))?
            }
            Event::SequenceStart(_, 0, None) => self.list(depth)?,
            Event::MappingStart(_, 0, None) => self.table(depth)?,
            _ => return Err(Misread::at(start, Flaw::Indirect)),
        };
        Ok(Node { start, content })
    }

    fn list(&mut self, depth: usize) -> Result<Content, Misread> {
        let mut items = Vec::new();
        while !self.peek_is(|event| matches!(event, Event::SequenceEnd)) {
            let at = items.len();
            items.push(self.node(depth + 1).map_err(|misread| misread.within(at))?);
        }
        self.next()?;
        Ok(Content::List(items))
    }

    fn table(&mut self, depth: usize) -> Result<Content, Misread> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut known = BTreeSet::new();
        while !self.peek_is(|event| matches!(event, Event::MappingEnd)) {
            let (event, span) = self.next()?;
            let at = self.offset(&span.start);
            let key = match event {
                Event::Scalar(key, _, 0, None) => key.into_owned(),
                Event::MappingStart(..) | Event::SequenceStart(..) => {
                    return Err(self.syntax(&span.start, "a key is text"));
                }
                _ => return Err(Misread::at(at, Flaw::Indirect)),
            };
            if !known.insert(key.clone()) {
                return Err(Misread::at(at, Flaw::DuplicateKey { key: key.clone() }).within(key));
            }
            let value = self.node(depth + 1).map_err(|misread| misread.within(&key))?;
            entries.push(Entry { key, at, value });
        }
        self.next()?;
        Ok(Content::Table(entries))
    }
}

/// A scalar by the core schema (YAML 1.2.2, section 10.3.2).
fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Result<Content, Flaw> {
    if style != ScalarStyle::Plain {
        return Ok(Content::Text(text.into_owned()));
    }
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => Ok(Content::Null),
        "true" | "True" | "TRUE" => Ok(Content::Bool(true)),
        "false" | "False" | "FALSE" => Ok(Content::Bool(false)),
        word => match json_form(word) {
            None => Ok(Content::Text(text.into_owned())),
            Some(form) => json::number(&form)
                .map(Content::Number)
                .ok_or_else(|| Flaw::Number { text: word.chars().take(40).collect() }),
        },
    }
}

/// How JSON writes what the core schema takes for a number; empty for infinity and what is no number.
fn json_form(word: &str) -> Option<String> {
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = word.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|digit| digit.is_digit(radix))
        {
            return Some(
                u64::from_str_radix(digits, radix).map(|number| number.to_string()).unwrap_or_default(),
            );
        }
    }
    let (sign, size) = match word.strip_prefix('-') {
        Some(size) => ("-", size),
        None => ("", word.strip_prefix('+').unwrap_or(word)),
    };
    if matches!(size, ".inf" | ".Inf" | ".INF") || matches!(word, ".nan" | ".NaN" | ".NAN") {
        return Some(String::new());
    }
    let (mantissa, exponent) = match size.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (size, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let power = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    let fine = digits(whole)
        && digits(part)
        && !(whole.is_empty() && part.is_empty())
        && power.is_none_or(|power| !power.is_empty() && digits(power));
    if !fine {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let part = match (mantissa.contains('.'), part) {
        (false, _) => String::new(),
        (true, "") => ".0".to_owned(),
        (true, part) => format!(".{part}"),
    };
    let exponent = exponent.map(|exponent| format!("e{exponent}")).unwrap_or_default();
    Some(format!("{sign}{whole}{part}{exponent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Result<serde_json::Value, Flaw> {
        scalar(text.into(), ScalarStyle::Plain).map(|content| match content {
            Content::Null => serde_json::Value::Null,
            Content::Bool(bool) => bool.into(),
            Content::Number(number) => number.into(),
            Content::Text(text) => text.into(),
            Content::List(_) | Content::Table(_) => unreachable!("a scalar"),
        })
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        use serde_json::json;
        let cases = [
            ("~", json!(null)),
            ("True", json!(true)),
            ("yes", json!("yes")),
            ("007", json!(7)),
            ("+12", json!(12)),
            ("-3", json!(-3)),
            ("0o14", json!(12)),
            ("0xC", json!(12)),
            ("0o18", json!("0o18")),
            (".5", json!(0.5)),
            ("-1.", json!(-1.0)),
            ("1e3", json!(1000.0)),
            ("1e", json!("1e")),
            ("1.2.3", json!("1.2.3")),
            ("1_000", json!("1_000")),
            (".", json!(".")),
            ("-", json!("-")),
            ("12m", json!("12m")),
            ("18446744073709551615", json!(u64::MAX)),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), Ok(expected), "{text}");
        }
        for text in ["18446744073709551616", "0xFFFFFFFFFFFFFFFFF", ".inf", "-.INF", ".nan", "1e999"] {
            assert_eq!(plain(text), Err(Flaw::Number { text: text.to_owned() }), "{text}");
        }
    }
}
