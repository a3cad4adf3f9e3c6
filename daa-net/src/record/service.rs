//! Names of what nodes offer.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use daa_core::fault::{Fault, Reaction, Retry};

/// The most bytes of a service's name.
const MAX: usize = 64;

/// What a node can offer, such as `training` or `model/llama`: 1 to 64 bytes of `a-z 0-9 . _ - /`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service(Arc<str>);

impl Service {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for Service {
    type Err = ParseServiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
        if text.is_empty() || text.len() > MAX {
            return Err(ParseServiceError::Length { len: text.len() });
        }
        match text.chars().find(|&found| !u8::try_from(found).is_ok_and(is_allowed)) {
            Some(found) => Err(ParseServiceError::Character { found }),
            None => Ok(Self(text.into())),
        }
    }
}

/// A text that cannot name a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseServiceError {
    /// Empty or too long.
    #[error("the name of a service has 1 to 64 bytes, not {len}")]
    Length {
        /// Its length in bytes.
        len: usize,
    },
    /// A character that is not allowed.
    #[error("the name of a service has only a-z, 0-9 and . _ - /, not {found:?}")]
    Character {
        /// The first of them.
        found: char,
    },
}

impl Reaction for ParseServiceError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}
