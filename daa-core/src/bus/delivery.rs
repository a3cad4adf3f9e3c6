//! A message in the hands of a consumer.

use std::fmt;

use async_trait::async_trait;

use super::error::BusError;
use super::in_process::InFlight;
use super::message::Message;

/// How a consumer is done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It was dealt with.
    Ack,
    /// It could not be dealt with, for this reason.
    Nack(String),
    /// It can never be dealt with, for this reason.
    Reject(String),
}

/// For those who implement a bus: takes the consumer's answer. Dropping it without an answer must count as a
/// refusal.
#[async_trait]
pub trait Settle: Send {
    /// Takes the answer.
    ///
    /// # Errors
    /// [`BusError`] when the answer did not reach the bus; the message may come again.
    async fn settle(self: Box<Self>, settlement: Settlement) -> Result<(), BusError>;
}

/// A message in the hands of one consumer, until it is acknowledged or refused. Dropping it refuses it.
#[must_use = "dropping a delivery refuses it"]
pub struct Delivery(Held);

enum Held {
    /// Without a box, as the bus within a process makes millions a second.
    Local(InFlight),
    Other {
        message: Message,
        attempt: u32,
        settle: Box<dyn Settle>,
    },
}

impl Delivery {
    /// For those who implement a bus.
    pub fn new(message: Message, attempt: u32, settle: Box<dyn Settle>) -> Self {
        Self(Held::Other { message, attempt, settle })
    }

    pub(super) const fn local(in_flight: InFlight) -> Self {
        Self(Held::Local(in_flight))
    }

    /// The message.
    #[must_use]
    pub const fn message(&self) -> &Message {
        match &self.0 {
            Held::Local(in_flight) => in_flight.message(),
            Held::Other { message, .. } => message,
        }
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        match &self.0 {
            Held::Local(in_flight) => in_flight.attempt(),
            Held::Other { attempt, .. } => *attempt,
        }
    }

    async fn settle(self, settlement: Settlement) -> Result<(), BusError> {
        match self.0 {
            Held::Local(mut in_flight) => {
                in_flight.end(settlement);
                Ok(())
            }
            Held::Other { settle, .. } => settle.settle(settlement).await,
        }
    }

    /// Says that the message was dealt with: it does not come again.
    ///
    /// # Errors
    /// [`BusError`] when that did not reach the bus; the message may come again, as it also may when the bus fails
    /// right after it took the answer.
    ///
    /// # Cancel safety
    /// When the future is dropped, the message may come again.
    pub async fn ack(self) -> Result<(), BusError> {
        self.settle(Settlement::Ack).await
    }

    /// Says that the message could not be dealt with: it comes again, or becomes a dead letter with this error.
    ///
    /// # Errors
    /// [`BusError`] when that did not reach the bus; the message comes again in any case.
    ///
    /// # Cancel safety
    /// When the future is dropped, the message comes again.
    pub async fn nack(self, error: impl Into<String>) -> Result<(), BusError> {
        self.settle(Settlement::Nack(error.into())).await
    }

    /// Says that the message can never be dealt with: it becomes a dead letter with this error at once.
    ///
    /// # Errors
    /// [`BusError`] when that did not reach the bus; the message comes again then.
    ///
    /// # Cancel safety
    /// When the future is dropped, the message may come again.
    pub async fn reject(self, error: impl Into<String>) -> Result<(), BusError> {
        self.settle(Settlement::Reject(error.into())).await
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("message", self.message())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
