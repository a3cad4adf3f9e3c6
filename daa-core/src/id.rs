//! Names of things: short, printable, safe in paths and log lines.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::fault::{Fault, Reaction, Retry};

/// The longest id, in bytes.
pub const MAX_ID_LEN: usize = 200;

/// A string that cannot be an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing in it.
    #[error("an id cannot be empty")]
    Empty,
    /// More than [`MAX_ID_LEN`] bytes.
    #[error("an id has at most {MAX_ID_LEN} bytes, this one has {len}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A character that is not allowed.
    #[error("character {found:?} in id {text:?}: only a-z, A-Z, 0-9 and . _ - / : are allowed")]
    Character {
        /// The first offending character.
        found: char,
        /// The whole string.
        text: String,
    },
}

impl Reaction for IdError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':')
}

/// As [`check`], while a program is compiled.
const fn is_id(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if !is_allowed(*first) {
            return false;
        }
        rest = after;
    }
    !text.is_empty() && text.len() <= MAX_ID_LEN
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > MAX_ID_LEN {
        return Err(IdError::TooLong { len: text.len() });
    }
    // Ids are made in every step of everything: bytes are looked at sooner than characters.
    if text.bytes().all(is_allowed) {
        return Ok(());
    }
    let found = text.chars().find(|&c| !u8::try_from(c).is_ok_and(is_allowed)).unwrap_or_default();
    Err(IdError::Character { found, text: text.to_owned() })
}

thread_local! {
    /// Where the text of an id is put together, which is allocated but once then. What is joined are ids and names, which
    /// have bounds.
    static JOINED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The text of an id: what its clones share, or a constant, whose clones share nothing, so that threads which clone it all
/// the time do not wait for each other.
#[derive(Clone)]
enum Text {
    Shared(Arc<str>),
    Constant(&'static str),
}

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Shared(text) => text,
            Self::Constant(text) => text,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Shared(text.into())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

macro_rules! ids {
    ($text:ty: $($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// 1 to 200 bytes of `a-z A-Z 0-9 . _ - / :`; cheap to clone.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($text);

        impl $name {
            /// Checks and wraps a string.
            ///
            /// # Errors
            /// [`IdError`] when the string is empty, too long, or has a character that is not allowed.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The id whose text is all of these, one after the other.
            ///
            /// # Errors
            /// Like [`new`](Self::new).
            pub fn joined(parts: &[&str]) -> Result<Self, IdError> {
                JOINED.with_borrow_mut(|text| {
                    text.clear();
                    parts.iter().for_each(|part| text.push_str(part));
                    Self::new(&*text)
                })
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;

            fn try_from(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
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

ids! { Text:
    /// Names a kind of event, with its version, such as `action.permitted.v1`.
    EventKind;
}

impl EventKind {
    /// A kind that is known when the program is compiled; its clones cost nothing.
    ///
    /// ```
    /// # use daa_core::id::EventKind;
    /// const PLACED: EventKind = EventKind::constant("order.placed.v1");
    /// ```
    ///
    /// # Panics
    /// When the text is no id: while it is compiled, in a constant.
    #[must_use]
    #[expect(clippy::panic, reason = "a mistake in a constant, told by the compiler")]
    pub const fn constant(text: &'static str) -> Self {
        if !is_id(text) {
            panic!(
                "no id: empty, longer than 200 bytes, or with other characters than a-z A-Z 0-9 . _ - / :"
            );
        }
        Self(Text::Constant(text))
    }
}

ids! { Arc<str>:
    /// Names one agent.
    AgentId;
    /// Names one stream of events, such as `ledger` or `agent/alice`.
    StreamId;
    /// Names one action, and is its idempotency key: the same id never takes effect twice.
    ActionId;
    /// Names a kind of action, such as `payment.send`; rules and executors are chosen by it.
    ActionKind;
    /// Names one rule.
    RuleId;
    /// Names an account of the ledger.
    AccountId;
    /// Names a transfer or a hold of the ledger, and is its idempotency key.
    TransferId;
    /// Names a plugin.
    PluginName;
    /// Names a collector, and what it observes.
    MetricName;
    /// Names a strategy of an agent.
    StrategyName;
    /// Names a topic of the event bus.
    Topic;
    /// Names a message, so that one that is published again is known.
    MessageId;
    /// Messages that share it are worked on one after the other.
    OrderingKey;
    /// Names a workflow definition, such as `order`; its versions share the name.
    WorkflowName;
    /// Names one run of a workflow, and is the idempotency key of its start.
    RunId;
    /// Names a step of a workflow.
    StepName;
    /// Names a signal that a run can wait for.
    SignalName;
    /// Names a worker that performs runs. Workers that share a store need different names.
    WorkerName;
    /// Names what a concurrency or rate limit counts, such as `customer/17`.
    LimitKey;
    /// Names what entries of a cache have in common, so that they can be invalidated together: `customer/17`.
    CacheTag;
    /// Names what one holder at a time may have a lease of.
    LeaseName;
    /// Names one who acquires leases: a process, with something in its name that no earlier one had.
    HolderId;
    /// Names a relay from a store to a bus, and is the source that its messages name.
    RelayName;
    /// Names an inbox: what one consumer, or one group of them, has acted on.
    InboxName;
    /// Names a projection, for people.
    ProjectionName;
    /// Names a schedule, and begins the names of the runs that it starts.
    ScheduleId;
    /// Names where data came from that nobody vouches for, such as `mail` or `web/example.org`.
    SourceId;
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use super::*;

    #[test]
    fn accepts_what_is_printable_and_short() {
        assert_eq!(
            AgentId::new("eu/agent-1:a.b_c").map(|id| id.to_string()),
            Ok("eu/agent-1:a.b_c".to_owned())
        );
    }

    #[test]
    fn rejects_empty_long_and_foreign_characters() {
        assert_eq!(AgentId::new(""), Err(IdError::Empty));
        assert_eq!(AgentId::new("a".repeat(201)), Err(IdError::TooLong { len: 201 }));
        assert!(matches!(AgentId::new("a b"), Err(IdError::Character { found: ' ', .. })));
        assert!(matches!(AgentId::new("ü"), Err(IdError::Character { found: 'ü', .. })));
    }

    #[test]
    fn a_constant_is_the_id_of_its_text() {
        const KIND: EventKind = EventKind::constant("a.b.v1");
        let same = EventKind::new("a.b.v1").unwrap();
        assert_eq!(KIND, same);
        let hash = |kind: &EventKind| foldhash::quality::FixedState::default().hash_one(kind);
        assert_eq!(hash(&KIND), hash(&same));
        let other = EventKind::constant("a.c.v1");
        assert!(KIND < other && other > same);
    }

    #[test]
    fn constants_are_checked_as_other_ids_are() {
        let texts = (0..=u8::MAX).map(|byte| format!("a{}", char::from(byte)));
        for text in texts.chain(["".to_owned(), "a".repeat(200), "a".repeat(201)]) {
            assert_eq!(is_id(&text), EventKind::new(&text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn deserialising_checks_too() {
        assert!(serde_json::from_str::<AgentId>("\"a\\nb\"").is_err());
        assert_eq!(serde_json::from_str::<AgentId>("\"a\"").ok(), AgentId::new("a").ok());
    }
}
