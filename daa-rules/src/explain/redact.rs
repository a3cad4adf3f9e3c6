//! Explanations that do not show what is redacted, nor what was computed of it.

use daa_core::action::Obligation;

use super::{Part, RuleOutcome};
use crate::condition::CUT;

const REDACTED: &str = "redacted";

impl Part {
    /// Hides the values of parts that say something of a redacted parameter. Whether a comparison was true is still shown.
    pub(super) fn redact(&mut self, obligations: &[Obligation], outcome: &mut RuleOutcome) {
        let paths = obligations.iter().flat_map(|obligation| match obligation {
            Obligation::Redact(paths) => paths.as_slice(),
            _ => &[],
        });
        let paths: Vec<String> = paths.map(|path| format!("action.params.{path}")).collect();
        if paths.is_empty() || !self.mentions(&paths) {
            return;
        }
        if let RuleOutcome::Indeterminate { why } = outcome {
            REDACTED.clone_into(why);
        }
        self.hide(&paths);
    }

    /// Whether it may say something of a redacted parameter: what was cut off may be about anything.
    fn mentions(&self, paths: &[String]) -> bool {
        self.text.ends_with(CUT) || names(&self.text).any(|name| paths.iter().any(|path| touches(name, path)))
    }

    fn hide(&mut self, paths: &[String]) {
        if !self.mentions(paths) {
            return;
        }
        // What is true or false of the parameter itself is its value.
        let is_itself = names(&self.text).eq([self.text.as_str()]);
        if let Some(value) = &mut self.value
            && (is_itself || !matches!(value.as_str(), "true" | "false"))
        {
            REDACTED.clone_into(value);
        }
        if let Some(why) = &mut self.why {
            REDACTED.clone_into(why);
        }
        self.parts.iter_mut().for_each(|part| part.hide(paths));
    }
}

/// What looks like the name of a parameter, or of all of them.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '_' | '.')));
    words.filter(|word| *word == "action.params" || word.starts_with("action.params."))
}

/// Whether one of two paths leads to the other.
fn touches(name: &str, path: &str) -> bool {
    let is_below =
        |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    name == path || is_below(name, path) || is_below(path, name)
}
