//! What is written, and read.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::path::Path;

use daa_rules::{Diagnostic, Limits, Ruleset, RulesetError};
use serde::Serialize;

/// Whether there was something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Findings {
    None,
    Some,
}

impl From<bool> for Findings {
    fn from(some: bool) -> Self {
        if some { Self::Some } else { Self::None }
    }
}

pub(crate) type Done = Result<Findings, Box<dyn Error>>;

/// The standard output, in one of two forms.
pub(crate) struct Output {
    pub(crate) json: bool,
    out: io::BufWriter<io::Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, out: io::BufWriter::new(io::stdout()) }
    }

    /// Writes text, or one line of JSON.
    pub(crate) fn write(&mut self, text: impl FnOnce() -> String, data: &impl Serialize) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.out, data)?;
            writeln!(self.out)?;
        } else {
            self.out.write_all(text().as_bytes())?;
        }
        self.out.flush()
    }
}

/// Whether the reader of the output is gone.
pub(crate) fn is_closed(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An error and all that it comes from, on the standard error.
pub(crate) fn tell(error: &dyn Error) {
    let mut text = format!("error: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    eprintln!("{text}");
}

/// The source of a ruleset, for people.
pub(crate) fn source(path: &Path) -> String {
    let mut text = Vec::new();
    // What cannot be read has no lines to show; the reader of rulesets says why.
    let _ = File::open(path).and_then(|file| file.take(Limits::SOURCE as u64).read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

/// A ruleset that must be right to go on. Its problems are findings; whatever else is wrong is an error.
pub(crate) fn ruleset(path: &Path, out: &mut Output) -> Result<Option<Ruleset>, Box<dyn Error>> {
    match Ruleset::from_file(path) {
        Ok(ruleset) => Ok(Some(ruleset)),
        Err(error) if error.problems().is_empty() => Err(error.into()),
        Err(error) => {
            problems(path, &error, out)?;
            Ok(None)
        }
    }
}

fn problems(path: &Path, error: &RulesetError, out: &mut Output) -> io::Result<()> {
    let problems = error.problems();
    let data = serde_json::json!({ "file": path.display().to_string(), "diagnostics": problems });
    out.write(|| shown(path, problems), &data)
}

/// Problems with the lines that they are about.
pub(crate) fn shown(path: &Path, problems: &[Diagnostic]) -> String {
    let source = source(path);
    let all = problems.iter().map(|problem| format!("{}\n", problem.in_source(&source)));
    format!("{}\n{}", path.display(), all.collect::<String>())
}

/// A file, or the standard input.
pub(crate) fn reader(path: &Path) -> Result<Box<dyn BufRead>, Box<dyn Error>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}
