//! Names of topics.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use daa_core::fault::{Fault, Reaction, Retry};

/// The most bytes of a topic's name.
const MAX: usize = 128;

/// What messages are about: 1 to 128 printable characters of ASCII without blanks. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for Topic {
    type Err = ParseTopicError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = (1..=MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_name.then(|| Self(text.into())).ok_or(ParseTopicError)
    }
}

/// A text that cannot name a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a topic is 1 to 128 printable characters of ASCII without blanks")]
#[non_exhaustive]
pub struct ParseTopicError;

impl Reaction for ParseTopicError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_a_name() {
        for text in ["", "a b", "ü", "a\n", &"a".repeat(129)] {
            assert_eq!(text.parse::<Topic>(), Err(ParseTopicError), "{text:?}");
        }
        assert_eq!("model/llama-3.1:grads".parse::<Topic>().unwrap().as_str(), "model/llama-3.1:grads");
    }
}
