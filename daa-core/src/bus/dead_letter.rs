//! Messages that nobody could deal with.

use std::fmt;

use super::message::Message;
use super::options::GroupName;
use super::pattern::TopicPattern;
use crate::clock::Timestamp;

/// Names a dead letter of one bus; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterId(u64);

impl DeadLetterId {
    /// For those who implement a bus.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// For those who implement a bus.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A message that was refused as often as its subscription allows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its name, for [`EventBus::redrive`](super::EventBus::redrive).
    pub id: DeadLetterId,
    /// The message.
    pub message: Message,
    /// The pattern of the subscription that could not deal with it.
    pub pattern: TopicPattern,
    /// The group that could not deal with it, if it was one.
    pub group: Option<GroupName>,
    /// How often it was delivered.
    pub attempts: u32,
    /// What the consumer said when it refused it last.
    pub error: String,
    /// When that was.
    pub at: Timestamp,
}

impl DeadLetter {
    /// For those who implement a bus: a letter of a subscription without a group.
    #[must_use]
    pub const fn new(
        id: DeadLetterId,
        message: Message,
        pattern: TopicPattern,
        attempts: u32,
        error: String,
        at: Timestamp,
    ) -> Self {
        Self { id, message, pattern, group: None, attempts, error, at }
    }

    /// Sets the group.
    #[must_use]
    pub fn with_group(mut self, group: Option<GroupName>) -> Self {
        self.group = group;
        self
    }
}
