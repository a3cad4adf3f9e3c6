//! What a subscriber asks for.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::backoff::Backoff;
use super::pattern::TopicPattern;
use crate::id::{IdError, Topic};

/// Names a group of subscribers that share their messages; of the same alphabet as a [`Topic`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Topic);

impl GroupName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for GroupName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Topic::new(text).map(Self)
    }
}

/// What happens to a message for which a queue in memory has no room. A broker keeps on its disk what does not fit,
/// so that it does not come to this there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The publisher waits for room, up to this long, after all other subscriptions have been served. Then the
    /// message is not queued here.
    Block {
        /// How long at most.
        up_to: Duration,
    },
    /// The message is not queued here, and counted.
    DropNewest,
    /// The oldest message that nobody works on yet makes room, and is counted. When consumers hold all of them,
    /// the new one is dropped.
    DropOldest,
    /// The subscription is cut off: what is queued is discarded, and its consumers get
    /// [`BusError::Disconnected`](super::BusError::Disconnected).
    Disconnect,
}

/// What a subscription wants, and what it can bear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    pub(super) pattern: TopicPattern,
    pub(super) group: Option<GroupName>,
    pub(super) capacity: usize,
    pub(super) overflow: Overflow,
    pub(super) max_attempts: u32,
    pub(super) max_in_flight: usize,
    pub(super) backoff: Backoff,
}

impl SubscribeOptions {
    /// The most messages that a queue may hold.
    pub const MAX_CAPACITY: usize = 65_536;

    /// A subscription of its own with room for 256 messages, which makes publishers wait up to a second when it
    /// is full, lets a subscriber work on 64 messages at once, and gives each message five attempts: the second
    /// one a second after the first, and then after twice as long each time.
    #[must_use]
    pub fn new(pattern: TopicPattern) -> Self {
        Self {
            pattern,
            group: None,
            capacity: 256,
            overflow: Overflow::Block { up_to: Duration::from_secs(1) },
            max_attempts: 5,
            max_in_flight: 64,
            backoff: Backoff::doubling(Duration::from_secs(1), Duration::from_secs(60)),
        }
    }

    /// Joins a group: each message goes to one of its members. All members must ask for the same.
    #[must_use]
    pub fn with_group(mut self, group: GroupName) -> Self {
        self.group = Some(group);
        self
    }

    /// How many messages the queue in memory holds, those being worked on included; in
    /// `1..=`[`MAX_CAPACITY`](Self::MAX_CAPACITY).
    #[must_use]
    pub fn with_capacity(mut self, messages: usize) -> Self {
        self.capacity = messages.clamp(1, Self::MAX_CAPACITY);
        self
    }

    /// What happens when the queue is full.
    #[must_use]
    pub const fn with_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// How often a message is delivered before it becomes a dead letter; at least once.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// How many messages a subscriber may hold unanswered; [`Subscriber::next`](super::Subscriber::next) waits
    /// when there are so many. In `1..=`[`MAX_CAPACITY`](Self::MAX_CAPACITY).
    #[must_use]
    pub fn with_max_in_flight(mut self, messages: usize) -> Self {
        self.max_in_flight = messages.clamp(1, Self::MAX_CAPACITY);
        self
    }

    /// How long after a refusal the message comes again.
    #[must_use]
    pub const fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Which topics it wants.
    #[must_use]
    pub const fn pattern(&self) -> &TopicPattern {
        &self.pattern
    }

    /// The group it joins, if any.
    #[must_use]
    pub const fn group(&self) -> Option<&GroupName> {
        self.group.as_ref()
    }

    /// How many messages the queue in memory holds.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many messages a subscriber may hold unanswered.
    #[must_use]
    pub const fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    /// How often a message is delivered before it becomes a dead letter.
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// How long a refused message waits.
    #[must_use]
    pub const fn backoff(&self) -> &Backoff {
        &self.backoff
    }
}
