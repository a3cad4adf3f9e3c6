//! Where in a definition something is.

use std::fmt;

/// A path into a definition: `steps.charge.with.amount`.
///
/// Steps go by their name, or by their number where the name is what is wrong. What a step does is not part of the
/// path: it is `steps.charge.with`, not `steps.charge.action.with`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(Vec<String>);

impl Place {
    pub(super) const fn root() -> Self {
        Self(Vec::new())
    }

    pub(super) fn of<S: Into<String>>(parts: impl IntoIterator<Item = S>) -> Self {
        Self(parts.into_iter().map(Into::into).collect())
    }

    pub(super) fn then(&self, part: impl ToString) -> Self {
        let mut parts = self.0.clone();
        parts.push(part.to_string());
        Self(parts)
    }

    /// Its parts, from the outside in; none for the definition as a whole.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the definition");
        }
        for (at, part) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(f, "{dot}{}", part.escape_debug())?;
        }
        Ok(())
    }
}
