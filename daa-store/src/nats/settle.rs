//! Messages that arrived, and the answers to them.

use std::sync::Arc;

use async_nats::Subject;
use async_trait::async_trait;
use daa_core::bus::{BusError, Delivery, Message, Settle, Settlement};
use daa_core::clock::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use super::progress::Held;
use super::subscriber::Intake;
use crate::bus::broker;

/// A message in this process that nobody has answered. When it is dropped, it was refused if a consumer had it, and goes
/// to another member if none had.
#[derive(Debug)]
pub(super) struct Arrival(Option<Unanswered>);

#[derive(Debug)]
struct Unanswered {
    intake: Arc<Intake>,
    message: Message,
    attempt: u32,
    /// The place in the stream.
    sequence: u64,
    answers: Subject,
    consumer_has_it: Option<OwnedSemaphorePermit>,
    _held: Held,
    _credit: Option<OwnedSemaphorePermit>,
}

impl Arrival {
    pub(super) fn new(
        intake: &Arc<Intake>,
        message: Message,
        attempt: u32,
        sequence: u64,
        answers: Subject,
        credit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self(Some(Unanswered {
            intake: intake.clone(),
            message,
            attempt,
            sequence,
            _held: intake.progress.hold(answers.clone()),
            answers,
            consumer_has_it: None,
            _credit: credit,
        }))
    }

    pub(super) fn has_lapsed(&self, now: Timestamp) -> bool {
        self.0.as_ref().is_some_and(|unanswered| unanswered.message.has_lapsed(now))
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
                    let runtime = unanswered.intake.connection.runtime.clone();
                    runtime.spawn(async move { unanswered.tell("-NAK".to_owned()).await });
                }
            }
            None => {}
        }
    }
}

impl Unanswered {
    async fn answer(self, settlement: Settlement) -> Result<(), BusError> {
        let agreement = &self.intake.agreement;
        match settlement {
            Settlement::Ack => self.tell("+ACK".to_owned()).await,
            Settlement::Nack(_) if self.attempt < agreement.max_attempts => {
                let wait = agreement.backoff.after(self.attempt);
                let again = if wait.is_zero() {
                    "-NAK".to_owned()
                } else {
                    format!(r#"-NAK {{"delay":{}}}"#, wait.as_nanos())
                };
                self.tell(again).await
            }
            Settlement::Nack(error) | Settlement::Reject(error) => {
                self.intake.bury(&self.message, self.sequence, self.attempt, &error).await?;
                self.tell("+TERM".to_owned()).await
            }
        }
    }

    async fn tell(&self, answer: String) -> Result<(), BusError> {
        let told = self.intake.connection.client.publish(self.answers.clone(), answer.into()).await;
        told.map_err(|error| broker("answer a message")(error.into()))
    }
}
