//! Messages that arrived, and the answers to them.

use std::sync::Arc;

use async_trait::async_trait;
use daa_core::bus::{BusError, Delivery, Message, Settle, Settlement};
use daa_core::clock::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use super::answers::{Answer, Answers, Tag};
use super::publish::Address;
use super::subscriber::Intake;
use super::wire::properties;
use crate::bus::{Fields, Lane};

/// A message in this process that nobody has answered. When it is dropped, it was refused if a consumer had it, and goes
/// back to its queue if none had.
#[derive(Debug)]
pub(super) struct Arrival(Option<Unanswered>);

#[derive(Debug)]
struct Unanswered {
    intake: Arc<Intake>,
    lane: Lane,
    message: Message,
    attempt: u32,
    tag: Tag,
    answers: Arc<Answers>,
    consumer_has_it: Option<OwnedSemaphorePermit>,
}

impl Arrival {
    pub(super) fn new(
        intake: &Arc<Intake>,
        lane: Lane,
        message: Message,
        attempt: u32,
        tag: Tag,
        answers: &Arc<Answers>,
    ) -> Self {
        let (intake, answers) = (intake.clone(), answers.clone());
        Self(Some(Unanswered { intake, lane, message, attempt, tag, answers, consumer_has_it: None }))
    }

    pub(super) fn has_lapsed(&self, now: Timestamp) -> bool {
        self.0.as_ref().is_some_and(|unanswered| unanswered.message.has_lapsed(now))
    }

    /// The broker has taken it back when its channel is gone.
    pub(super) fn can_be_answered(&self) -> bool {
        self.0.as_ref().is_some_and(|unanswered| unanswered.answers.are_awaited())
    }

    pub(super) fn forget(mut self) {
        self.0 = None;
    }

    /// Without handing it out.
    pub(super) fn acknowledge(mut self) {
        self.spawn(Settlement::Ack);
    }

    /// The permit is given back with the answer.
    pub(super) fn hand_out(mut self, permit: OwnedSemaphorePermit) -> Option<Delivery> {
        let unanswered = self.0.as_mut()?;
        unanswered.consumer_has_it = Some(permit);
        let (message, attempt) = (unanswered.message.clone(), unanswered.attempt);
        Some(Delivery::new(message, attempt, Box::new(self)))
    }

    fn spawn(&mut self, settlement: Settlement) {
        if let Some(unanswered) = self.0.take() {
            let runtime = unanswered.intake.connection.runtime.clone();
            runtime.spawn(async move {
                if let Err(error) = unanswered.answer(settlement).await {
                    tracing::warn!(%error, "a message was not answered and comes again");
                }
            });
        }
    }
}

#[async_trait]
impl Settle for Arrival {
    async fn settle(mut self: Box<Self>, settlement: Settlement) -> Result<(), BusError> {
        match self.0.take() {
            Some(unanswered) => unanswered.answer(settlement).await,
            None => Ok(()),
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        match &self.0 {
            Some(Unanswered { consumer_has_it: Some(_), .. }) => {
                self.spawn(Settlement::Nack("dropped without an answer".to_owned()));
            }
            Some(_) => {
                if let Some(unanswered) = self.0.take() {
                    // If it cannot be told, the broker has it back already.
                    let _ = unanswered.give_back();
                }
            }
            None => {}
        }
    }
}

impl Unanswered {
    async fn answer(mut self, settlement: Settlement) -> Result<(), BusError> {
        let intake = self.intake.clone();
        let Intake { connection, agreement, member, .. } = &*intake;
        match settlement {
            Settlement::Ack => self.acknowledge(),
            Settlement::Nack(_) if self.attempt < agreement.max_attempts => {
                let wait = agreement.backoff.after(self.attempt);
                if wait.is_zero() {
                    return self.give_back();
                }
                if self.lane == Lane::Unkeyed && agreement.group.is_some() {
                    let queue = connection.waiting_queue(member, agreement, self.attempt).await?;
                    let again = || properties(&Fields::of(&self.message, true), self.attempt);
                    let (topic, payload) = (self.message.topic(), self.message.payload());
                    connection.confirmed(topic, &Address::queue(queue), payload, again).await?;
                    return self.acknowledge();
                }
                // It keeps its place, and its key waits with it.
                self.consumer_has_it = None;
                connection.runtime.spawn(async move {
                    sleep(wait).await;
                    if let Err(error) = self.give_back() {
                        tracing::debug!(%error, "the broker has it back already");
                    }
                });
                Ok(())
            }
            Settlement::Nack(error) | Settlement::Reject(error) => {
                connection.bury(member, agreement, &self.message, self.attempt, &error).await?;
                self.acknowledge()
            }
        }
    }

    fn acknowledge(&self) -> Result<(), BusError> {
        self.answers.give(Answer::Acknowledged(self.tag))
    }

    fn give_back(&self) -> Result<(), BusError> {
        self.answers.give(Answer::Returned(self.tag))
    }
}
