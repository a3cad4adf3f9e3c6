//! What can be wrong with the text of a definition.

use std::fmt;

use super::tree::{Node, place};
use crate::fault::{Fault, Reaction, Retry};
use crate::workflow::definition::problem::hint;
use crate::workflow::definition::{Cause, DefinitionErrors, Place};

/// A line and a column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Something in the text of a definition that is wrong.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReadProblem {
    /// Where it is in the text.
    pub position: Position,
    /// Where it is in the definition.
    pub place: Place,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// More text than a definition may have.
    #[error("a definition has at most {max} bytes, this one has {found}")]
    TooLarge {
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// Not the language that it should be.
    #[error("{message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// Values in values in values.
    #[error("values are nested at most {max} deep")]
    TooDeep {
        /// How deep they may be.
        max: usize,
    },
    /// An anchor, an alias or a tag.
    #[error("anchors, aliases and tags are not allowed")]
    Indirect,
    /// A number that would change when it is stored.
    #[error("{text} is no number that can be kept exactly: 64 bits for a whole number, finite for others")]
    Number {
        /// The number.
        text: String,
    },
    /// The same key again.
    #[error("key {key:?} is there twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A key, or a word, that has no meaning here.
    #[error("unknown {found:?}, expected one of {expected}{}", hint(.suggestion))]
    Unknown {
        /// What was found.
        found: String,
        /// What is known.
        expected: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A key that must be there.
    #[error("key {key:?} is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value that cannot be here.
    #[error("{message}")]
    Value {
        /// What was found, and what was expected.
        message: String,
    },
    /// The definition cannot work.
    #[error(transparent)]
    Definition(Cause),
}

/// What is wrong with the text of a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadErrors {
    file: Option<String>,
    problems: Vec<ReadProblem>,
    left_out: usize,
}

impl ReadErrors {
    /// Names the file in which the text stands.
    #[must_use]
    pub fn with_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// What is wrong, from top to bottom; at least one problem, at most [`DefinitionErrors::MAX`].
    #[must_use]
    pub fn problems(&self) -> &[ReadProblem] {
        &self.problems
    }

    /// How many more problems there are.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }
}

impl fmt::Display for ReadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, ReadProblem { position, place, flaw }) in self.problems.iter().enumerate() {
            let line = if at == 0 { "" } else { "\n" };
            write!(f, "{line}")?;
            if let Some(file) = &self.file {
                write!(f, "{file}:")?;
            }
            write!(f, "{}:{}: {place}: {flaw}", position.line, position.column)?;
        }
        if self.left_out > 0 {
            write!(f, "\nand {} more", self.left_out)?;
        }
        Ok(())
    }
}

impl std::error::Error for ReadErrors {}

impl Reaction for ReadErrors {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// A flaw whose place is not complete yet.
#[derive(Debug)]
pub(super) struct Misread {
    offset: Option<usize>,
    /// From the inside out.
    path: Vec<String>,
    flaw: Flaw,
}

impl Misread {
    pub(super) const fn at(offset: usize, flaw: Flaw) -> Self {
        Self { offset: Some(offset), path: Vec::new(), flaw }
    }

    pub(super) const fn somewhere(flaw: Flaw) -> Self {
        Self { offset: None, path: Vec::new(), flaw }
    }

    /// Says where it is, unless that is known already.
    pub(super) fn or_at(mut self, offset: usize) -> Self {
        self.offset.get_or_insert(offset);
        self
    }

    /// Says in what it is.
    pub(super) fn within(mut self, part: impl ToString) -> Self {
        self.path.push(part.to_string());
        self
    }
}

/// A text whose bytes have lines and columns.
#[derive(Debug)]
pub(super) struct Source<'s> {
    text: &'s str,
    /// Where lines begin.
    lines: Vec<usize>,
}

impl<'s> Source<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(breaks).collect() }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.lines.partition_point(|&begin| begin <= offset);
        let begin = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(begin..offset.min(self.text.len())).unwrap_or_default();
        Position { line: line.max(1), column: before.chars().count() + 1 }
    }

    pub(super) fn one(&self, root: Option<&Node>, misread: Misread) -> ReadErrors {
        let mut path = misread.path;
        path.reverse();
        let place = place(root, &path);
        let position = self.position(misread.offset.unwrap_or_default());
        let problem = ReadProblem { position, place, flaw: misread.flaw };
        ReadErrors { file: None, problems: vec![problem], left_out: 0 }
    }

    pub(super) fn all(&self, root: &Node, errors: DefinitionErrors) -> ReadErrors {
        let left_out = errors.left_out();
        let problem = |problem: &crate::workflow::definition::Problem| ReadProblem {
            position: self.position(root.find(&problem.place)),
            place: problem.place.clone(),
            flaw: Flaw::Definition(problem.cause.clone()),
        };
        let mut problems: Vec<ReadProblem> = errors.problems().iter().map(problem).collect();
        problems.sort_by_key(|problem| problem.position);
        ReadErrors { file: None, problems, left_out }
    }
}
