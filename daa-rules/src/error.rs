//! Why a ruleset is not accepted: where, what, and what would be right.

use std::io;
use std::path::PathBuf;

use daa_core::fault::{Fault, Reaction, Retry};

use crate::diagnostic::Diagnostic;
use crate::ruleset::Language;

/// A ruleset that is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesetError {
    /// Something in the source is wrong: all of it, up to [`Limits::PROBLEMS`](crate::Limits::PROBLEMS), one a line.
    #[error("{}", lines(problems))]
    Invalid {
        /// What is wrong, by its place in the source.
        problems: Vec<Diagnostic>,
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
    /// This build does not read it.
    #[error("this build reads no rulesets in {language:?}")]
    Language {
        /// What it is written in.
        language: Language,
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
            Self::Invalid { .. } | Self::TooLarge { .. } | Self::Extension { .. } | Self::Language { .. } => {
                Fault::Caller
            }
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Read { .. } | Self::Thread { .. } => Retry::Later,
            Self::File { source, .. } => source.retry(),
            Self::Invalid { .. } | Self::TooLarge { .. } | Self::Extension { .. } | Self::Language { .. } => {
                Retry::Never
            }
        }
    }
}

impl RulesetError {
    /// What is wrong in the source, where that is the reason.
    #[must_use]
    pub fn problems(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid { problems } => problems,
            Self::File { source, .. } => source.problems(),
            _ => &[],
        }
    }
}

fn lines(problems: &[Diagnostic]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
