//! A member of a group, or a subscription without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daa_core::bus::{BusError, Message, SubscribeOptions};
use daa_core::clock::Timestamp;
use lapin::message::Delivery;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::answers::{Answer, Answers, Tag};
use super::connection::Connection;
use super::link::ANSWER_WITHIN;
use super::publish::Address;
use super::pump::Pump;
use super::queues;
use super::wire::{attempt, fields, payload, properties};
use crate::bus::{Agreement, Arrival, Fields, Intake, Lane, Member, Subscription, subscription};

/// What the messages of a subscriber share.
#[derive(Debug)]
pub(super) struct RabbitIntake {
    pub(super) connection: Arc<Connection>,
    pub(super) member: Member,
    pub(super) prefetch: u16,
    agreement: Agreement,
    leaving: Arc<AtomicBool>,
}

/// What an answer to one message takes.
#[derive(Debug)]
pub(super) struct Token {
    lane: Lane,
    tag: Tag,
    answers: Arc<Answers>,
    leaving: Arc<AtomicBool>,
}

pub(super) async fn subscribe(
    connection: &Arc<Connection>,
    options: &SubscribeOptions,
) -> Result<Subscription<RabbitIntake>, BusError> {
    connection.open_or_closed()?;
    let agreement = Agreement::of(options);
    let member = Member::of(options.group(), || connection.unique(""));
    queues::make(connection, &member, &agreement).await?;
    let prefetch = queues::prefetch(options);
    let waiting = usize::from(prefetch) + connection.names.lanes().count();
    let intake =
        RabbitIntake { connection: connection.clone(), member, prefetch, agreement, leaving: Arc::default() };
    let (feed, subscription) = subscription(intake, options, waiting);
    let (ready, is_ready) = oneshot::channel();
    tokio::spawn(Pump { feed }.run(ready));
    // Its consumers are known to the broker, unless that fails right now.
    let _ = timeout(ANSWER_WITHIN, is_ready).await;
    Ok(subscription)
}

impl Token {
    fn give_back(self) -> Result<(), BusError> {
        // Of a partition, the broker would send it here again. It goes back when its channel is closed.
        if self.lane != Lane::Unkeyed && self.leaving.load(Ordering::Acquire) {
            return Ok(());
        }
        self.answers.give(Answer::Returned(self.tag))
    }
}

impl RabbitIntake {
    pub(super) const fn has_group(&self) -> bool {
        self.agreement.group.is_some()
    }

    /// The message, unless it is not for a consumer: then it is dealt with.
    pub(super) async fn admit(
        self: &Arc<Self>,
        lane: Lane,
        mut delivery: Delivery,
        answers: &Arc<Answers>,
    ) -> Option<Arrival<Self>> {
        let (attempt, payload) = (attempt(&delivery.properties), payload(&mut delivery));
        let topic = self.connection.names.topic(&delivery);
        let read = fields(&delivery.properties).message(topic, payload.clone());
        let (tag, leaving) = (delivery.delivery_tag, self.leaving.clone());
        let token = Token { lane, tag, answers: answers.clone(), leaving };
        Arrival::admit(self, read, &payload, attempt, token).await
    }

    /// A copy of the message waits elsewhere.
    async fn put_off(&self, message: &Message, attempt: u32) -> Result<(), BusError> {
        let queue = self.connection.waiting_queue(&self.member, &self.agreement, attempt).await?;
        let again = || properties(&Fields::of(message, true), attempt);
        let to = Address::queue(queue);
        self.connection.confirmed(message.topic(), &to, message.payload(), again).await.map(drop)
    }
}

impl Intake for RabbitIntake {
    type Token = Token;

    fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    fn runtime(&self) -> &Handle {
        &self.connection.runtime
    }

    fn now(&self) -> Timestamp {
        self.connection.clock.now()
    }

    fn stop(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    fn is_awaited(token: &Token) -> bool {
        token.answers.are_awaited()
    }

    async fn acknowledge(&self, token: Token) -> Result<(), BusError> {
        token.answers.give(Answer::Acknowledged(token.tag))
    }

    async fn give_back(&self, token: Token) -> Result<(), BusError> {
        token.give_back()
    }

    async fn redeliver(
        &self,
        message: &Message,
        attempt: u32,
        token: Token,
        after: Duration,
    ) -> Result<(), BusError> {
        if token.lane == Lane::Unkeyed && self.has_group() {
            return match self.put_off(message, attempt).await {
                Ok(()) => self.acknowledge(token).await,
                Err(error) => {
                    self.give_back(token).await?;
                    Err(error)
                }
            };
        }
        // It keeps its place, and its key waits with it.
        self.runtime().spawn(async move {
            sleep(after).await;
            if let Err(error) = token.give_back() {
                tracing::debug!(%error, "the broker has it back already");
            }
        });
        Ok(())
    }

    async fn bury(&self, message: &Message, attempts: u32, _: &Token, error: &str) -> Result<(), BusError> {
        self.connection.bury(&self.member, &self.agreement, message, attempts, error).await
    }

    async fn leave(&self) -> Result<(), BusError> {
        self.connection.remove_queues(&self.member).await
    }
}
