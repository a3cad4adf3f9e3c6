//! What became of a message at each subscription.

use std::fmt;
use std::time::Duration;

/// Names a subscription, or a group, of one bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(u64);

impl SubscriptionId {
    /// For those who implement a bus.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What became of a message at one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Receipt {
    /// Queued at once.
    Delivered {
        /// How many messages the queue holds now, those being worked on included.
        backlog: usize,
    },
    /// Queued, after the publisher had waited for room: the consumer lags behind.
    Late {
        /// How long the publisher waited.
        waited: Duration,
    },
    /// Queued, and the oldest message was dropped for it: the consumer lags behind.
    DroppedOldest {
        /// How many messages this subscription has lost so far.
        dropped: u64,
    },
    /// Not queued.
    DroppedNewest {
        /// How many messages this subscription has lost so far.
        dropped: u64,
    },
    /// Not queued: there was no room in the time that the publisher was to wait.
    TimedOut {
        /// How long it waited.
        waited: Duration,
    },
    /// Not queued: the subscription was too slow and is cut off.
    Disconnected,
    /// Not queued: the subscription ended while the publisher waited.
    Gone,
}

impl Receipt {
    /// Whether the message is in the queue.
    #[must_use]
    pub const fn is_delivered(self) -> bool {
        matches!(self, Self::Delivered { .. } | Self::Late { .. } | Self::DroppedOldest { .. })
    }

    /// Whether the consumer does not keep up.
    #[must_use]
    pub const fn is_lagging(self) -> bool {
        !matches!(self, Self::Delivered { .. } | Self::Gone)
    }
}

/// What became of a published message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it says who did not get the message"]
pub struct Published {
    receipts: Vec<(SubscriptionId, Receipt)>,
    duplicate: bool,
}

impl Published {
    /// For those who implement a bus.
    pub const fn new(receipts: Vec<(SubscriptionId, Receipt)>) -> Self {
        Self { receipts, duplicate: false }
    }

    /// For those who implement a bus: the message was published before.
    pub const fn as_duplicate(mut self) -> Self {
        self.duplicate = true;
        self
    }

    /// Whether the bus remembers a message of this id, and dropped this one.
    #[must_use]
    pub const fn is_duplicate(&self) -> bool {
        self.duplicate
    }

    /// What became of it at each matching subscription that this bus can see, a group counting as one. A bus
    /// whose broker does not tell sees none.
    #[must_use]
    pub fn receipts(&self) -> &[(SubscriptionId, Receipt)] {
        &self.receipts
    }

    /// How many subscriptions have it in their queue.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.receipts.iter().filter(|(_, receipt)| receipt.is_delivered()).count()
    }

    /// The subscriptions that do not keep up.
    pub fn lagging(&self) -> impl Iterator<Item = SubscriptionId> {
        self.receipts.iter().filter(|(_, receipt)| receipt.is_lagging()).map(|&(id, _)| id)
    }
}
