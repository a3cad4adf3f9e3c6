//! Why a ruleset is not accepted: where, what, and what would be right.

use std::fmt;
use std::io;
use std::path::PathBuf;

use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::IdError;

/// A place in a source: line and column, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Location {
    /// Where the byte at `offset` stands.
    pub(crate) fn of(source: &str, offset: usize) -> Self {
        let before = source.char_indices().take_while(|(at, _)| *at < offset);
        before.fold(Self { line: 1, column: 1 }, |at, (_, char)| match char {
            '\n' => Self { line: at.line + 1, column: 1 },
            _ => Self { column: at.column + 1, ..at },
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A ruleset that is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesetError {
    /// Something in the source is wrong.
    #[error("{at}: {problem}")]
    Source {
        /// Where.
        at: Location,
        /// What.
        problem: Problem,
    },
    /// The source is too long.
    #[error("the ruleset has {actual} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Its size.
        actual: u64,
        /// How much is allowed.
        limit: usize,
    },
    /// The file cannot be read.
    #[error("cannot read the ruleset {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file's name does not say in which language it is written.
    #[error("the name of the ruleset {} ends in none of {expected}", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
        /// The extensions that are understood.
        expected: &'static str,
    },
    /// A file has an error.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// There is no thread to read the ruleset on.
    #[error("no thread can be started to read the ruleset")]
    Thread {
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Reaction for RulesetError {
    fn fault(&self) -> Fault {
        match self {
            Self::Read { .. } | Self::Thread { .. } => Fault::Environment,
            Self::File { source, .. } => source.fault(),
            Self::Source { .. } | Self::TooLarge { .. } | Self::Extension { .. } => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Read { .. } | Self::Thread { .. } => Retry::Later,
            Self::File { source, .. } => source.retry(),
            Self::Source { .. } | Self::TooLarge { .. } | Self::Extension { .. } => Retry::Never,
        }
    }
}

/// What is wrong at one place of a ruleset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file is not valid TOML or YAML.
    #[error("invalid {language}: {message}")]
    Syntax {
        /// The language of the file.
        language: &'static str,
        /// What the parser says.
        message: String,
    },
    /// A key that means nothing here.
    #[error("unknown key {found:?}, expected one of {expected}{}", hint(suggestion))]
    UnknownKey {
        /// The key.
        found: String,
        /// The keys that mean something.
        expected: String,
        /// The nearest of them.
        suggestion: Option<String>,
    },
    /// A key that stands there twice.
    #[error("key {key:?} stands there twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A key that must be there.
    #[error("a rule needs the key {key:?}")]
    MissingKey {
        /// The key.
        key: &'static str,
    },
    /// A value of the wrong type.
    #[error("{key} must be {expected}, found {found}")]
    WrongType {
        /// The key.
        key: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A name from a fixed list that is not on it.
    #[error("unknown {what} {found:?}, expected one of {expected}{}", hint(suggestion))]
    UnknownName {
        /// What it should name.
        what: &'static str,
        /// What stands there.
        found: String,
        /// The list.
        expected: &'static str,
        /// The nearest on it.
        suggestion: Option<String>,
    },
    /// A rule id that is not an id.
    #[error("invalid rule id: {0}")]
    Id(IdError),
    /// Two rules with one id.
    #[error("rule {id:?} exists already, at {first}")]
    DuplicateRule {
        /// The id.
        id: String,
        /// The other rule.
        first: Location,
    },
    /// A pattern that makes no sense.
    #[error("{pattern:?} is not a kind of action: {message}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        message: String,
    },
    /// A declared attribute whose name cannot be written in a condition.
    #[error("{name:?} is not a name: letters, digits and _ are allowed, and no digit first")]
    Name {
        /// The name.
        name: String,
    },
    /// Too much of something.
    #[error("{what}: at most {limit} are allowed")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
    /// A condition that is not CEL.
    #[error("the condition is not valid: {message}")]
    Expression {
        /// What the parser says.
        message: String,
    },
    /// A condition that uses what this engine leaves out.
    #[error("{what} cannot be used in a condition; {instead}")]
    Unsupported {
        /// What it uses.
        what: String,
        /// What can be used.
        instead: String,
    },
    /// A condition over something that does not exist.
    #[error("unknown attribute {path}: {expected}{}", hint(suggestion))]
    UnknownAttribute {
        /// The attribute.
        path: String,
        /// What exists.
        expected: String,
        /// The nearest name.
        suggestion: Option<String>,
    },
    /// A condition that can never be true or false.
    #[error("a condition is true or false, this one is {found}")]
    NotBool {
        /// What it is.
        found: &'static str,
    },
    /// A literal that is not money.
    #[error("{text:?} is not money, expected an amount and a currency such as \"12.50 USDC\"")]
    Money {
        /// The text.
        text: String,
    },
}

impl Problem {
    pub(crate) fn at(self, source: &str, offset: usize) -> RulesetError {
        RulesetError::Source { at: Location::of(source, offset), problem: self }
    }
}

fn hint(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}
