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
    /// All kinds there are.
    pub(crate) const fn any() -> Self {
        Self(Form::Prefix(String::new()))
    }

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
            return Ok(Self::any());
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
        self.covers_text(kind.as_str())
    }

    /// Whether it covers the kind of this name, of an action or of an event: all ids have one alphabet.
    pub(crate) fn covers_text(&self, kind: &str) -> bool {
        match &self.0 {
            Form::Exact(exact) => exact.as_str() == kind,
            Form::Prefix(prefix) => kind.starts_with(prefix.as_str()),
        }
    }

    /// Whether it covers every kind that the other one covers.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (_, Form::Exact(kind)) => self.matches(kind),
            (Form::Prefix(prefix), Form::Prefix(other)) => other.starts_with(prefix.as_str()),
            (Form::Exact(_), Form::Prefix(_)) => false,
        }
    }

    /// How much it says: of two patterns that cover one kind, the nearer one is longer.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Form::Exact(_) => usize::MAX,
            Form::Prefix(prefix) => prefix.len(),
        }
    }

    pub(crate) const fn form(&self) -> &Form {
        &self.0
    }
}

impl From<ActionKind> for KindPattern {
    /// The pattern that covers this kind alone.
    fn from(kind: ActionKind) -> Self {
        Self(Form::Exact(kind))
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
