//! Short names that become one segment of a longer id.

use std::fmt;
use std::sync::Arc;

use daa_core::fault::{Fault, Reaction, Retry};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest name, in bytes.
pub const MAX_NAME_LEN: usize = 64;

/// A string that cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name: 1 to {MAX_NAME_LEN} of a-z, A-Z, 0-9 and . _ - : are allowed")]
#[non_exhaustive]
pub struct NameError {
    /// What was given, cut after 80 characters.
    pub text: String,
}

impl Reaction for NameError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

fn check(text: &str) -> Result<(), NameError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    if (1..=MAX_NAME_LEN).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(());
    }
    Err(NameError { text: text.chars().take(80).collect() })
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// 1 to 64 bytes of `a-z A-Z 0-9 . _ - :`, and no slash, so that ids that are composed of names read
        /// in one way only; cheap to clone.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps a string.
            ///
            /// # Errors
            /// [`NameError`] when the string is empty, too long, or has a character that is not allowed.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                let text = text.as_ref();
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(text).map_err(de::Error::custom)
            }
        }
    )*};
}

names! {
    /// Names a budget of one agent in one currency.
    BudgetName;
    /// Names a run: the work that stakes are locked for and rewards are paid for.
    RunId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_would_make_a_composed_id_ambiguous() {
        assert!(RunId::new("digits-1").is_ok());
        for text in ["", "a/b", "a b", "ü", &"a".repeat(65)] {
            assert!(RunId::new(text).is_err(), "{text:?}");
        }
    }
}
