//! What a check of a ruleset tells: where, what, and what would be right.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::problem::Problem;

/// A place in a source: line and column, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// How much a diagnostic matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The ruleset is not accepted.
    Error,
    /// The ruleset is accepted, and does not say what its author thinks.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Something to tell about one place of a ruleset.
///
/// Serialised it has the fields `severity`, `line`, `column`, `message` and `suggestion`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Where.
    pub at: Location,
    /// What.
    pub problem: Problem,
}

impl Diagnostic {
    pub(crate) const fn error(at: Location, problem: Problem) -> Self {
        Self { severity: Severity::Error, at, problem }
    }

    /// It with the line of the source that it is about, and a mark below the place.
    ///
    /// `source` is the text that was read; of a line that is very long only a part is shown.
    #[must_use]
    pub fn in_source(&self, source: &str) -> String {
        /// Characters of the line that are shown before the place, and behind it.
        const AROUND: usize = 60;
        let Self { severity, at, problem } = self;
        let line = source.lines().nth(at.line.saturating_sub(1)).unwrap_or_default();
        let column = at.column.saturating_sub(1);
        let skipped = column.saturating_sub(AROUND);
        let clean = |char: char| if char.is_control() { ' ' } else { char };
        let part: String = line.chars().skip(skipped).take(2 * AROUND).map(clean).collect();
        let number = at.line.to_string();
        let margin = " ".repeat(number.len());
        let mark = " ".repeat(column - skipped);
        format!(
            "{severity}: {problem}\n{margin}--> line {}, column {}\n{margin} |\n{number} | {}\n{margin} | {mark}^\n",
            at.line,
            at.column,
            part.trim_end(),
        )
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.severity {
            Severity::Error => write!(f, "{}: {}", self.at, self.problem),
            Severity::Warning => write!(f, "{}: warning: {}", self.at, self.problem),
        }
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Diagnostic", 5)?;
        out.serialize_field("severity", &self.severity)?;
        out.serialize_field("line", &self.at.line)?;
        out.serialize_field("column", &self.at.column)?;
        out.serialize_field("message", &self.problem.to_string())?;
        out.serialize_field("suggestion", &self.problem.suggestion())?;
        out.end()
    }
}
