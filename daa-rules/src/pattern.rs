//! Which kinds of action a rule is about.

use std::fmt;

use daa_core::id::{ActionKind, MAX_ID_LEN};

/// A kind of action, or all kinds that begin alike: `payment.send`, `payment.*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KindPattern(Form);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    Exact(ActionKind),
    Prefix(String),
}

impl KindPattern {
    /// Reads a pattern; on failure says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(prefix) = text.strip_suffix('*') else {
            if text.contains('*') {
                return Err("a * can only stand at the end".to_owned());
            }
            return ActionKind::new(text).map(|kind| Self(Form::Exact(kind))).map_err(|e| e.to_string());
        };
        if prefix.contains('*') {
            return Err("only one * is allowed, at the end".to_owned());
        }
        if prefix.is_empty() {
            return Ok(Self(Form::Prefix(String::new())));
        }
        if prefix.len() >= MAX_ID_LEN {
            return Err(format!("no kind is longer than {MAX_ID_LEN} bytes"));
        }
        match ActionKind::new(prefix) {
            Ok(_) => Ok(Self(Form::Prefix(prefix.to_owned()))),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether it covers this kind.
    #[must_use]
    pub fn matches(&self, kind: &ActionKind) -> bool {
        match &self.0 {
            Form::Exact(exact) => exact == kind,
            Form::Prefix(prefix) => kind.as_str().starts_with(prefix.as_str()),
        }
    }

    pub(crate) const fn form(&self) -> &Form {
        &self.0
    }
}

impl fmt::Display for KindPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Exact(kind) => f.write_str(kind.as_str()),
            Form::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}
