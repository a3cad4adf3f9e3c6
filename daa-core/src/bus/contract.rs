//! The contract of an event bus.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::capabilities::Capabilities;
use super::dead_letter::{DeadLetter, DeadLetterId};
use super::delivery::Delivery;
use super::error::BusError;
use super::health::BusHealth;
use super::history::{BusPosition, HistoryPage};
use super::message::Message;
use super::options::{GroupName, SubscribeOptions};
use super::pattern::TopicPattern;
use super::published::Published;

/// Carries messages between the parts of a system.
///
/// # Contract
///
/// An implementation must:
/// - call [`Message::check`] first, and refuse what it refuses;
/// - carry the id, the key and the headers of a message unchanged;
/// - give a message to every matching subscription without a group, and to exactly one member of every group
///   with a matching pattern, unless the subscription's overflow policy says otherwise;
/// - keep the order of one publisher's messages without a key at each subscription; a message that comes again is
///   exempt;
/// - keep the order of one publisher's messages of one [key](Message::with_key) at each subscription and group, also
///   when a message comes again: the next one is delivered when the one before it is dealt with or a dead letter. Other
///   keys may wait with it. Only what was a dead letter and is driven again comes out of order;
/// - deliver a message that was refused, or whose consumer went away without an answer, again after the subscription's
///   backoff, to any member of the group, and make it a [`DeadLetter`] with the last error after as many attempts as
///   the subscription allows: a message that kills its consumers ends there too;
/// - drop a message whose [deadline](Message::with_deadline) has passed when its turn comes;
/// - bound every queue, and the number of dead letters that it keeps, and hand a subscriber no more than it may hold
///   unanswered;
/// - make its connection anew by itself, with everything that was subscribed to.
///
/// It must not let one slow subscription keep a message from another, and must not promise more than at-least-once
/// delivery: consumers tolerate a message twice, or wrap their subscriber in [`Deduplicated`](super::Deduplicated).
///
/// The suite in [`testing`](super::testing) (feature `test-util`) checks that; every implementation runs it.
#[async_trait]
pub trait EventBus: Send + Sync + fmt::Debug {
    /// What this bus can do beyond the contract.
    fn capabilities(&self) -> Capabilities;

    /// Publishes a message, and says what became of it at each subscription that the bus can see. When it returns, a
    /// durable bus has confirmed that it keeps the message. A message that nobody wants is gone.
    ///
    /// # Errors
    /// [`BusError`] when the message is out of bounds or the bus does not take it;
    /// [`BusError::Unconfirmed`] when it is not known whether it did. A queue without room in this process is not an
    /// error but a [`Receipt`](super::Receipt).
    ///
    /// # Cancel safety
    /// A dropped call may have reached some subscriptions and not others.
    async fn publish(&self, message: Message) -> Result<Published, BusError>;

    /// Subscribes from now on. A subscription without a group ends when the subscriber is dropped, and what is still
    /// queued for it is discarded; what a member of a group leaves goes to the other members. A group of a
    /// [durable](Capabilities::durable) bus outlives its members: what is published meanwhile waits for the next one.
    /// Otherwise it ends with the last of them.
    ///
    /// # Errors
    /// [`BusError::GroupMismatch`], [`BusError::TooManySubscriptions`], or a bus that is not available.
    async fn subscribe(&self, options: SubscribeOptions) -> Result<Box<dyn Subscriber>, BusError>;

    /// Ends a group, with what is queued for it. Its members get `None`; its dead letters stay.
    ///
    /// # Errors
    /// [`BusError::NoGroup`], or a bus that is not available.
    async fn remove_group(&self, group: &GroupName) -> Result<(), BusError>;

    /// Publishes a message and waits for the first reply. After `limit` the request is not delivered any more.
    ///
    /// # Errors
    /// [`BusError::NoResponder`] when it is known that nobody got the message, [`BusError::NoReply`] when no reply came
    /// within `limit`: somebody may have acted on the request all the same.
    ///
    /// # Cancel safety
    /// The request may be acted on; its reply is discarded.
    async fn request(&self, request: Message, limit: Duration) -> Result<Message, BusError>;

    /// Replies to a request. The reply goes to the asker alone, is not kept, and is not delivered again.
    ///
    /// # Errors
    /// [`BusError::NotARequest`] when it asked for no reply; otherwise as [`Self::publish`]. That the asker has
    /// gone is not an error.
    async fn reply(&self, request: &Message, payload: Bytes) -> Result<(), BusError>;

    /// The dead letters behind `after`, oldest first: at most `limit` of them, and never more than
    /// [`MAX_PAGE`](super::MAX_PAGE) or [`MAX_PAGE_BYTES`](super::MAX_PAGE_BYTES). Only an empty page says that there are
    /// no more. A letter that cannot be read is passed over.
    ///
    /// # Errors
    /// [`BusError`] when they cannot be listed.
    async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, BusError>;

    /// Puts a dead letter back into the queue that it came from, with all its attempts before it again.
    ///
    /// # Errors
    /// [`BusError::NoDeadLetter`]; [`BusError::SubscriptionEnded`] or [`BusError::QueueFull`], and the letter is
    /// kept.
    ///
    /// # Cancel safety
    /// The message may come again, and the letter may still be there.
    async fn redrive(&self, id: DeadLetterId) -> Result<(), BusError>;

    /// What was published on matching topics behind `after`, oldest first: at most `limit` messages, and never more
    /// than [`MAX_PAGE`](super::MAX_PAGE) or [`MAX_PAGE_BYTES`](super::MAX_PAGE_BYTES). What the bus does not keep any more is passed over.
    ///
    /// # Errors
    /// [`BusError::Unsupported`] when the bus keeps no [history](Capabilities::history).
    async fn replay(
        &self,
        pattern: &TopicPattern,
        after: Option<BusPosition>,
        limit: usize,
    ) -> Result<HistoryPage, BusError>;

    /// How the bus is; asks the broker, if there is one.
    async fn health(&self) -> BusHealth;

    /// Takes nothing any more. Subscribers still get what only this process holds for them, and then `None`; what a
    /// broker keeps stays there for the next member of the group.
    ///
    /// # Errors
    /// [`BusError`] when the broker behind the bus does not let go in an orderly way.
    async fn close(&self) -> Result<(), BusError>;
}

/// The receiving end of a subscription.
#[async_trait]
pub trait Subscriber: Send + fmt::Debug {
    /// The next message; waits until there is one, and until the subscriber holds no more than it may. `None` when the
    /// bus is closed and all was delivered, or when the group was removed.
    ///
    /// # Errors
    /// [`BusError::Disconnected`] when the subscription was too slow and is cut off.
    ///
    /// # Cancel safety
    /// Safe: a message is taken only by the call that returns it.
    async fn next(&mut self) -> Result<Option<Delivery>, BusError>;
}
