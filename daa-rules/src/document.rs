//! A parsed file before it means anything: a tree of values that know where they stand.

mod align;
mod json;
mod lines;
mod toml;
#[cfg(feature = "yaml")]
mod yaml;

pub(crate) use self::align::offset_in_value;
pub(crate) use self::lines::Lines;
pub(crate) use self::toml::parse as parse_toml;
#[cfg(feature = "yaml")]
pub(crate) use self::yaml::parse as parse_yaml;
use crate::problem::Problem;

/// A value and the bytes of the source it stands in.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// TOML has none.
    #[cfg(feature = "yaml")]
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    /// A date, or an integer of more than 64 bits, which no key of a ruleset takes.
    Other,
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: usize,
    pub(crate) value: Node,
}

/// A problem and the byte of the source it stands at.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) offset: usize,
    pub(crate) problem: Problem,
}

impl Node {
    pub(crate) const fn found(&self) -> &'static str {
        match self.content {
            #[cfg(feature = "yaml")]
            Content::Null => "nothing",
            Content::Bool(_) => "a boolean",
            Content::Integer(..0) => "a negative integer",
            Content::Integer(_) => "an integer",
            Content::Float(_) | Content::Other => "a number or a date",
            Content::Text(_) => "a string",
            Content::List(_) => "a list",
            Content::Table(_) => "a table",
        }
    }

    pub(crate) fn wrong(&self, key: &str, expected: &'static str) -> Misfit {
        let problem = Problem::WrongType { key: key.to_owned(), expected, found: self.found() };
        Misfit { offset: self.start, problem }
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str, Misfit> {
        match &self.content {
            Content::Text(text) => Ok(text),
            _ => Err(self.wrong(key, "a string")),
        }
    }

    pub(crate) fn integer(&self, key: &str) -> Result<i64, Misfit> {
        match self.content {
            Content::Integer(number) => Ok(number),
            _ => Err(self.wrong(key, "an integer")),
        }
    }

    pub(crate) fn unsigned(&self, key: &str) -> Result<u64, Misfit> {
        let expected = "an integer that is not negative";
        self.integer(key)?.try_into().map_err(|_| self.wrong(key, expected))
    }

    pub(crate) fn list(&self, key: &str, expected: &'static str) -> Result<&[Self], Misfit> {
        match &self.content {
            Content::List(items) => Ok(items),
            _ => Err(self.wrong(key, expected)),
        }
    }

    pub(crate) fn table(&self, key: &str) -> Result<&[Entry], Misfit> {
        match &self.content {
            Content::Table(entries) => Ok(entries),
            _ => Err(self.wrong(key, "a table")),
        }
    }
}
