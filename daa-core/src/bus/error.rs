//! What can go wrong on a bus.

use std::error::Error as StdError;
use std::time::Duration;

use super::dead_letter::DeadLetterId;
use super::message::MAX_PAYLOAD;
use super::options::GroupName;
use crate::fault::{Fault, Reaction, Retry};
use crate::id::Topic;

/// Why a bus did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The payload is too large.
    #[error("a message on {topic} has {len} bytes, at most {MAX_PAYLOAD} are allowed")]
    TooLarge {
        /// Its topic.
        topic: Topic,
        /// Its size in bytes.
        len: usize,
    },
    /// The topic has nothing between two dots.
    #[error("topic {topic} has an empty part")]
    EmptyTopicPart {
        /// The topic.
        topic: Topic,
    },
    /// There is no such group.
    #[error("there is no group {group}")]
    NoGroup {
        /// What was asked for.
        group: GroupName,
    },
    /// The group exists with other options.
    #[error("group {group} has members that asked for something else")]
    GroupMismatch {
        /// The group.
        group: GroupName,
    },
    /// There are too many subscriptions.
    #[error("the bus has {limit} subscriptions already")]
    TooManySubscriptions {
        /// How many are allowed.
        limit: usize,
    },
    /// The subscription was too slow and was cut off; it must be made anew.
    #[error("the subscription was cut off because its queue was full at {capacity} messages")]
    Disconnected {
        /// How many messages the queue held.
        capacity: usize,
    },
    /// The subscriber was away for so long that the broker has ended its subscription; it must be made anew.
    #[error("the subscriber was away too long, and the broker has ended its subscription")]
    Expired,
    /// Nobody listens to the topic of a request.
    #[error("nobody answers requests on {topic}")]
    NoResponder {
        /// The topic.
        topic: Topic,
    },
    /// No reply came in time.
    #[error("no reply on {topic} within {limit:?}")]
    NoReply {
        /// The topic.
        topic: Topic,
        /// How long was waited.
        limit: Duration,
    },
    /// A reply to something that asked for none.
    #[error("a message on {topic} asked for no reply")]
    NotARequest {
        /// Its topic.
        topic: Topic,
    },
    /// There is no such dead letter, or not any more.
    #[error("there is no dead letter {id}")]
    NoDeadLetter {
        /// What was asked for.
        id: DeadLetterId,
    },
    /// The subscription of a dead letter has ended; the letter is kept.
    #[error("the subscription of dead letter {id} has ended")]
    SubscriptionEnded {
        /// The letter.
        id: DeadLetterId,
    },
    /// The queue of a dead letter's subscription is full; the letter is kept.
    #[error("the queue for dead letter {id} is full at {capacity} messages")]
    QueueFull {
        /// The letter.
        id: DeadLetterId,
        /// How many messages the queue holds.
        capacity: usize,
    },
    /// The broker has no room for the message, as it keeps what consumers have not dealt with.
    #[error("the broker has no room for a message on {topic}")]
    Full {
        /// Its topic.
        topic: Topic,
    },
    /// No confirmation came in time: the message may have been published or not. Published again under the same id,
    /// it is the same message.
    #[error("a message on {topic} was not confirmed within {limit:?}")]
    Unconfirmed {
        /// Its topic.
        topic: Topic,
        /// How long was waited.
        limit: Duration,
    },
    /// This bus cannot do that, or was not set up for it.
    #[error("this bus does not support {what}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
    /// The bus is closed.
    #[error("the bus is closed")]
    Closed,
    /// The broker behind the bus cannot be reached, or failed.
    #[error("the broker failed to {what}")]
    Broker {
        /// At what.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Reaction for BusError {
    fn fault(&self) -> Fault {
        match self {
            Self::NoReply { .. } | Self::NoResponder { .. } => Fault::Peer,
            Self::Broker { .. }
            | Self::Expired
            | Self::QueueFull { .. }
            | Self::Full { .. }
            | Self::Unconfirmed { .. } => Fault::Environment,
            Self::TooLarge { .. }
            | Self::EmptyTopicPart { .. }
            | Self::NoGroup { .. }
            | Self::GroupMismatch { .. }
            | Self::TooManySubscriptions { .. }
            | Self::Disconnected { .. }
            | Self::NotARequest { .. }
            | Self::NoDeadLetter { .. }
            | Self::SubscriptionEnded { .. }
            | Self::Unsupported { .. }
            | Self::Closed => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::NoReply { .. }
            | Self::NoResponder { .. }
            | Self::Broker { .. }
            | Self::QueueFull { .. }
            | Self::Full { .. }
            | Self::Unconfirmed { .. }
            | Self::TooManySubscriptions { .. } => Retry::Later,
            Self::TooLarge { .. }
            | Self::EmptyTopicPart { .. }
            | Self::NoGroup { .. }
            | Self::GroupMismatch { .. }
            | Self::Disconnected { .. }
            | Self::Expired
            | Self::NotARequest { .. }
            | Self::NoDeadLetter { .. }
            | Self::SubscriptionEnded { .. }
            | Self::Unsupported { .. }
            | Self::Closed => Retry::Never,
        }
    }
}
