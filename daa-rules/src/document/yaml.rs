//! YAML, and so JSON: one document, without anchors and tags, so that nothing can multiply.

use std::borrow::Cow;
use std::iter::Peekable;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::{Content, Entry, Misfit, Node};
use crate::problem::Problem;

/// How deep values may be nested; a ruleset needs four levels.
const DEPTH: usize = 16;

type Item<'s> = Result<(Event<'s>, Span), ScanError>;

pub(crate) fn parse(source: &str) -> Result<Node, Misfit> {
    let mut reader = Reader { source, events: Parser::new_from_str(source).peekable() };
    reader.expect(|event| matches!(event, Event::StreamStart))?;
    if reader.peek_is(|event| matches!(event, Event::StreamEnd)) {
        return Ok(Node { start: 0, end: 0, content: Content::Table(Vec::new()) });
    }
    reader.expect(|event| matches!(event, Event::DocumentStart(..)))?;
    let root = reader.node(0)?;
    reader.expect(|event| matches!(event, Event::DocumentEnd))?;
    let (event, span) = reader.next()?;
    if matches!(event, Event::StreamEnd) {
        return Ok(root);
    }
    Err(reader.misfit(&span.start, "a ruleset is one document, a second one begins here"))
}

struct Reader<'s, I: Iterator<Item = Item<'s>>> {
    source: &'s str,
    events: Peekable<I>,
}

impl<'s, I: Iterator<Item = Item<'s>>> Reader<'s, I> {
    fn next(&mut self) -> Result<(Event<'s>, Span), Misfit> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let message = error.info().lines().next().unwrap_or_default().to_owned();
                Err(self.misfit(error.marker(), &message))
            }
            None => Err(self.misfit(&Marker::default(), "the document ends too early")),
        }
    }

    fn expect(&mut self, wanted: impl Fn(&Event<'s>) -> bool) -> Result<(), Misfit> {
        let (event, span) = self.next()?;
        if wanted(&event) {
            Ok(())
        } else {
            Err(self.misfit(&span.start, "something else was expected here"))
        }
    }

    fn peek_is(&mut self, wanted: impl Fn(&Event<'s>) -> bool) -> bool {
        matches!(self.events.peek(), Some(Ok((event, _))) if wanted(event))
    }

    fn misfit(&self, at: &Marker, message: &str) -> Misfit {
        let problem = Problem::Syntax { language: "YAML", message: message.to_owned() };
        Misfit { offset: self.offset(at), problem }
    }

    fn offset(&self, at: &Marker) -> usize {
        let by_chars = || self.source.char_indices().nth(at.index()).map_or(self.source.len(), |(at, _)| at);
        at.byte_offset().unwrap_or_else(by_chars)
    }

    fn node(&mut self, depth: usize) -> Result<Node, Misfit> {
        let (event, span) = self.next()?;
        let start = self.offset(&span.start);
        if depth > DEPTH {
            return Err(self.misfit(&span.start, "nested too deeply"));
        }
        match event {
            Event::Scalar(text, style, 0, None) => {
                Ok(Node { start, end: self.offset(&span.end), content: scalar(text, style) })
            }
            Event::SequenceStart(_, 0, None) => {
                let mut items = Vec::new();
                while !self.peek_is(|event| matches!(event, Event::SequenceEnd)) {
                    items.push(self.node(depth + 1)?);
                }
                let end = self.next()?.1.end;
                Ok(Node { start, end: self.offset(&end), content: Content::List(items) })
            }
            Event::MappingStart(_, 0, None) => self.table(start, depth),
            _ => Err(self.misfit(&span.start, "anchors, aliases and tags are not allowed")),
        }
    }

    fn table(&mut self, start: usize, depth: usize) -> Result<Node, Misfit> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut known = std::collections::BTreeSet::new();
        while !self.peek_is(|event| matches!(event, Event::MappingEnd)) {
            let (event, span) = self.next()?;
            let Event::Scalar(key, _, 0, None) = event else {
                return Err(self.misfit(&span.start, "a key is a plain string"));
            };
            let (key, at) = (key.into_owned(), self.offset(&span.start));
            if !known.insert(key.clone()) {
                return Err(Misfit { offset: at, problem: Problem::DuplicateKey { key } });
            }
            entries.push(Entry { key, at, value: self.node(depth + 1)? });
        }
        let end = self.next()?.1.end;
        Ok(Node { start, end: self.offset(&end), content: Content::Table(entries) })
    }
}

/// The core schema, as far as a ruleset has a use for it.
fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Content {
    if style != ScalarStyle::Plain {
        return Content::Text(text.into_owned());
    }
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ => match text.parse::<i64>() {
            Ok(number) => Content::Integer(number),
            Err(_) => match text.parse() {
                Ok(number) => Content::Float(number),
                Err(_) => Content::Text(text.into_owned()),
            },
        },
    }
}
