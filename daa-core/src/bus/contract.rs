//! The contract of an event bus.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::dead_letter::{DeadLetter, DeadLetterId};
use super::delivery::Delivery;
use super::error::BusError;
use super::message::Message;
use super::options::SubscribeOptions;
use super::published::Published;
use crate::id::Topic;

/// Carries messages between the parts of a system.
///
/// # Contract
///
/// An implementation must:
/// - call [`Message::check`] first, and refuse what it refuses;
/// - give a message to every matching subscription without a group, and to exactly one member of every group
///   with a matching pattern, unless the subscription's overflow policy says otherwise;
/// - keep the order of one publisher's messages at each subscription; a message that comes again is exempt;
/// - deliver a message that was refused, or dropped without an answer, again, to any member of the group, and
///   make it a [`DeadLetter`] with the last error after as many attempts as the subscription allows;
/// - bound every queue, and the number of dead letters that it keeps.
///
/// It must not let one slow subscription keep a message from another, and must not promise more than at-least-once
/// delivery: consumers tolerate a message twice.
///
/// The suite in [`testing`](super::testing) (feature `test-util`) checks that; every implementation runs it.
#[async_trait]
pub trait EventBus: Send + Sync + fmt::Debug {
    /// Publishes a message, and says what became of it at each subscription. A message that nobody wants is gone.
    ///
    /// # Errors
    /// [`BusError`] when the message is out of bounds or the bus does not take it. A queue without room is not
    /// an error but a [`Receipt`](super::Receipt).
    ///
    /// # Cancel safety
    /// A dropped call may have reached some subscriptions and not others.
    async fn publish(&self, message: Message) -> Result<Published, BusError>;

    /// Subscribes from now on. The subscription ends when the subscriber is dropped; what is still queued for it
    /// alone is discarded, what is queued for its group goes to the other members.
    ///
    /// # Errors
    /// [`BusError::GroupMismatch`], [`BusError::TooManySubscriptions`], or a bus that is not available.
    async fn subscribe(&self, options: SubscribeOptions) -> Result<Box<dyn Subscriber>, BusError>;

    /// Publishes a message and waits for the first reply.
    ///
    /// # Errors
    /// [`BusError::NoResponder`] when nobody got the message, [`BusError::NoReply`] when no reply came within
    /// `limit`: somebody may have acted on the request all the same.
    ///
    /// # Cancel safety
    /// The request may be acted on; its reply is discarded.
    async fn request(&self, topic: Topic, payload: Bytes, limit: Duration) -> Result<Message, BusError>;

    /// Replies to a request.
    ///
    /// # Errors
    /// [`BusError::NotARequest`] when it asked for no reply; otherwise as [`Self::publish`]. That the asker has
    /// gone is not an error.
    async fn reply(&self, request: &Message, payload: Bytes) -> Result<(), BusError> {
        let topic =
            request.reply_to().ok_or_else(|| BusError::NotARequest { topic: request.topic().clone() })?;
        let _ = self.publish(Message::new(topic.clone(), payload)).await?;
        Ok(())
    }

    /// The dead letters behind `after`, oldest first, at most `limit` of them.
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
    async fn redrive(&self, id: DeadLetterId) -> Result<(), BusError>;

    /// Takes nothing any more. Subscribers still get what is queued for them, and then `None`.
    ///
    /// # Errors
    /// [`BusError`] when the broker behind the bus does not let go in an orderly way.
    async fn close(&self) -> Result<(), BusError>;
}

/// The receiving end of a subscription.
#[async_trait]
pub trait Subscriber: Send + fmt::Debug {
    /// The next message; waits until there is one. `None` when the bus is closed and all was delivered.
    ///
    /// # Errors
    /// [`BusError::Disconnected`] when the subscription was too slow and is cut off.
    ///
    /// # Cancel safety
    /// Safe: a message is taken only by the call that returns it.
    async fn next(&mut self) -> Result<Option<Delivery>, BusError>;
}
