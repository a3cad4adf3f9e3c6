//! Which topics a subscription wants.

use std::fmt;
use std::str::FromStr;

use crate::fault::{Fault, Reaction, Retry};
use crate::id::{IdError, MAX_ID_LEN, Topic};

/// A pattern over topics, whose parts are separated by dots: `*` stands for exactly one part, and `>` at the end
/// for one or more.
///
/// Wildcards do not match a first part that begins with `_`: such topics are the bus's own, such as the inboxes
/// of requests.
///
/// ```
/// # use daa_core::bus::TopicPattern;
/// let pattern: TopicPattern = "agent.*.status.>".parse()?;
/// assert!(pattern.matches(&"agent.alice.status.battery".parse()?));
/// assert!(!pattern.matches(&"agent.alice.status".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Part {
    Literal(Box<str>),
    One,
    Rest,
}

impl TopicPattern {
    /// Whether a message on this topic is wanted.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let internal = topic.as_str().starts_with('_');
        if internal && !matches!(self.parts.first(), Some(Part::Literal(_))) {
            return false;
        }
        let mut given = topic.as_str().split('.');
        for part in &self.parts {
            let Some(given) = given.next() else { return false };
            match part {
                Part::Rest => return true,
                Part::One => {}
                Part::Literal(text) if **text == *given => {}
                Part::Literal(_) => return false,
            }
        }
        given.next().is_none()
    }
}

impl From<&Topic> for TopicPattern {
    /// The pattern that matches this topic alone.
    fn from(topic: &Topic) -> Self {
        Self { parts: topic.as_str().split('.').map(|part| Part::Literal(part.into())).collect() }
    }
}

impl FromStr for TopicPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_ID_LEN {
            return Err(PatternError::TooLong { len: text.len() });
        }
        let mut parts = Vec::new();
        for part in text.split('.') {
            if parts.last() == Some(&Part::Rest) {
                return Err(PatternError::TailNotLast { pattern: text.to_owned() });
            }
            parts.push(match part {
                "" => return Err(PatternError::EmptyPart { pattern: text.to_owned() }),
                "*" => Part::One,
                ">" => Part::Rest,
                literal => {
                    let source = Topic::new(literal).err();
                    if let Some(source) = source {
                        return Err(PatternError::Part { part: literal.to_owned(), source });
                    }
                    Part::Literal(literal.into())
                }
            });
        }
        Ok(Self { parts })
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(match part {
                Part::Literal(text) => text,
                Part::One => "*",
                Part::Rest => ">",
            })?;
        }
        Ok(())
    }
}

/// A string that is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Longer than a topic can be.
    #[error("a pattern has at most {MAX_ID_LEN} bytes, this one has {len}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Nothing between two dots, or nothing at all.
    #[error("pattern {pattern:?} has an empty part")]
    EmptyPart {
        /// The whole pattern.
        pattern: String,
    },
    /// Something follows `>`.
    #[error("pattern {pattern:?} goes on after \">\", which stands for the rest")]
    TailNotLast {
        /// The whole pattern.
        pattern: String,
    },
    /// A part that is neither a wildcard nor a part of a topic.
    #[error("part {part:?} of a pattern is neither \"*\" nor \">\" nor a part of a topic")]
    Part {
        /// The part.
        part: String,
        /// Why it is not part of a topic.
        #[source]
        source: IdError,
    },
}

impl Reaction for PatternError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}
