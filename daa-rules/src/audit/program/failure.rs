//! How a command fails: what was asked is not so, or it could not be found out.

use std::error::Error;
use std::fmt::Write;
use std::process::ExitCode;

type Source = Box<dyn Error + Send + Sync>;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// What was to be verified is not so: exit code 1.
    Invalid(Source),
    /// It could not be found out: exit code 2.
    Unable(Source),
}

impl Failure {
    pub(super) fn invalid(error: impl Into<Source>) -> Self {
        Self::Invalid(error.into())
    }

    pub(super) fn unable(error: impl Into<Source>) -> Self {
        Self::Unable(error.into())
    }

    pub(super) fn code(&self) -> ExitCode {
        match self {
            Self::Invalid(_) => ExitCode::from(1),
            Self::Unable(_) => ExitCode::from(2),
        }
    }

    /// Tells it: in JSON where answers are read, in words where errors are.
    pub(super) fn print(&self, json: bool) {
        let (word, source) = match self {
            Self::Invalid(source) => ("invalid", source),
            Self::Unable(source) => ("error", source),
        };
        let text = chain(&**source);
        if json {
            // Where nobody reads it, the exit code tells it all the same.
            let _ =
                super::files::print(&format!("{}\n", serde_json::json!({ "result": word, "reason": text })));
        } else {
            eprintln!("{word}: {text}");
        }
    }
}

pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string does not fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
