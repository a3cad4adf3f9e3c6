//! Messages that a broker sent to this process, until they are answered.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::bus::{BusError, Delivery, Message, Settle, Settlement};
use daa_core::clock::Timestamp;
use daa_core::id::Topic;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use super::Agreement;
use super::fields::ForeignMessage;

/// A broker's side of a subscription: how messages come, and how they are answered.
pub(crate) trait Intake: fmt::Debug + Send + Sync + Sized + 'static {
    /// What an answer to one message takes.
    type Token: fmt::Debug + Send + Sync + 'static;

    fn agreement(&self) -> &Agreement;

    /// Where answers go on when those who gave them are gone.
    fn runtime(&self) -> &Handle;

    fn now(&self) -> Timestamp;

    /// From now on nobody takes messages; those that were taken may still be answered.
    fn stop(&self) {}

    /// Whether the broker waits for an answer. It has taken the message back if not.
    fn is_awaited(_token: &Self::Token) -> bool {
        true
    }

    fn acknowledge(&self, token: Self::Token) -> impl Future<Output = Result<(), BusError>> + Send;

    /// The message comes again at once; it does so by itself if this does not reach the broker.
    fn give_back(&self, token: Self::Token) -> impl Future<Output = Result<(), BusError>> + Send;

    /// The message comes again, not before a while has passed.
    fn redeliver(
        &self,
        message: &Message,
        attempt: u32,
        token: Self::Token,
        after: Duration,
    ) -> impl Future<Output = Result<(), BusError>> + Send;

    /// Keeps a dead letter; the message itself is acknowledged after it.
    fn bury(
        &self,
        message: &Message,
        attempts: u32,
        token: &Self::Token,
        error: &str,
    ) -> impl Future<Output = Result<(), BusError>> + Send;

    /// Forgets a subscription that nobody else can join.
    fn leave(&self) -> impl Future<Output = Result<(), BusError>> + Send;
}

/// A message that nobody has answered. When it is dropped, it was refused if a consumer had it, and goes back if none
/// had.
#[derive(Debug)]
pub(crate) struct Arrival<I: Intake>(Option<Unanswered<I>>);

#[derive(Debug)]
struct Unanswered<I: Intake> {
    intake: Arc<I>,
    message: Message,
    attempt: u32,
    token: I::Token,
    consumer_has_it: Option<OwnedSemaphorePermit>,
}

impl<I: Intake> Arrival<I> {
    /// The message that was read, unless it is not for a consumer: then it is dealt with.
    pub(crate) async fn admit(
        intake: &Arc<I>,
        read: Result<Message, ForeignMessage>,
        payload: &Bytes,
        attempt: u32,
        token: I::Token,
    ) -> Option<Self> {
        let agreement = intake.agreement();
        let (message, trouble) = match read {
            // Wildcards of brokers also match topics that are the bus's own.
            Ok(message) if !agreement.pattern.matches(message.topic()) => {
                Self::dealt_with(intake.acknowledge(token).await);
                return None;
            }
            Ok(message) if attempt > agreement.max_attempts => {
                (message, "its consumers went away without an answer".to_owned())
            }
            Ok(message) => {
                let intake = intake.clone();
                return Some(Self(Some(Unanswered {
                    intake,
                    message,
                    attempt,
                    token,
                    consumer_has_it: None,
                })));
            }
            // What somebody else put there is a dead letter, too.
            Err(error) => (Message::new(Topic::new("_unreadable").ok()?, payload.clone()), error.to_string()),
        };
        Self::dealt_with(bury(&**intake, &message, attempt.saturating_sub(1), token, &trouble).await);
        None
    }

    fn dealt_with(told: Result<(), BusError>) {
        if let Err(error) = told {
            tracing::warn!(%error, "a message was not answered and comes again");
        }
    }

    /// The message for a consumer, if it is to have it. The permit is given back with the answer.
    pub(super) fn hand_out(mut self, permit: OwnedSemaphorePermit) -> Result<Delivery, OwnedSemaphorePermit> {
        let Some(unanswered) = &mut self.0 else { return Err(permit) };
        let (message, attempt) = (unanswered.message.clone(), unanswered.attempt);
        if !I::is_awaited(&unanswered.token) {
            self.0 = None;
            return Err(permit);
        }
        if message.deadline().is_some() && message.has_lapsed(unanswered.intake.now()) {
            self.spawn(Settlement::Ack);
            return Err(permit);
        }
        unanswered.consumer_has_it = Some(permit);
        Ok(Delivery::new(message, attempt, Box::new(self)))
    }

    fn spawn(&mut self, settlement: Settlement) {
        if let Some(unanswered) = self.0.take() {
            let runtime = unanswered.intake.runtime().clone();
            runtime.spawn(async move { Self::dealt_with(unanswered.answer(settlement).await) });
        }
    }
}

#[async_trait]
impl<I: Intake> Settle for Arrival<I> {
    async fn settle(mut self: Box<Self>, settlement: Settlement) -> Result<(), BusError> {
        match self.0.take() {
            Some(unanswered) => unanswered.answer(settlement).await,
            None => Ok(()),
        }
    }
}

impl<I: Intake> Drop for Arrival<I> {
    fn drop(&mut self) {
        if self.0.as_ref().is_some_and(|unanswered| unanswered.consumer_has_it.is_some()) {
            self.spawn(Settlement::Nack("dropped without an answer".to_owned()));
        } else if let Some(Unanswered { intake, token, .. }) = self.0.take() {
            let runtime = intake.runtime().clone();
            runtime.spawn(async move { intake.give_back(token).await });
        }
    }
}

impl<I: Intake> Unanswered<I> {
    async fn answer(self, settlement: Settlement) -> Result<(), BusError> {
        // The permit is given back at the end.
        let Self { intake, message, attempt, token, consumer_has_it: _permit } = self;
        match settlement {
            Settlement::Ack => intake.acknowledge(token).await,
            Settlement::Nack(_) if attempt < intake.agreement().max_attempts => {
                let after = intake.agreement().backoff.after(attempt);
                if after.is_zero() {
                    return intake.give_back(token).await;
                }
                intake.redeliver(&message, attempt, token, after).await
            }
            Settlement::Nack(error) | Settlement::Reject(error) => {
                bury(&*intake, &message, attempt, token, &error).await
            }
        }
    }
}

/// Makes a dead letter of a message, which comes again if that fails.
async fn bury<I: Intake>(
    intake: &I,
    message: &Message,
    attempts: u32,
    token: I::Token,
    error: &str,
) -> Result<(), BusError> {
    tracing::warn!(topic = %message.topic(), attempts, error, "dead letter");
    match intake.bury(message, attempts, &token, error).await {
        Ok(()) => intake.acknowledge(token).await,
        Err(error) => {
            intake.give_back(token).await?;
            Err(error)
        }
    }
}
