//! A member of a group, or a subscription without one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daa_core::bus::{BusError, Delivery, Message, SubscribeOptions, Subscriber};
use daa_core::id::Topic;
use futures_util::stream::{BoxStream, SelectAll, select_all};
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use super::answers::{Answer, Answers};
use super::connection::Connection;
use super::link::{ANSWER_WITHIN, answered};
use super::names::Member;
use super::queues;
use super::settle::Arrival;
use super::wire::{attempt, fields, payload, short};
use crate::bus::{Agreement, Lane};

/// How long until a broker that is not ready is asked again.
const NOT_READY: Duration = Duration::from_millis(50);

/// Why no more messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    /// The queues are gone.
    Removed,
}

/// What the messages of a subscriber share.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) connection: Arc<Connection>,
    pub(super) agreement: Agreement,
    pub(super) member: Member,
    prefetch: u16,
    end: watch::Sender<Option<End>>,
}

#[derive(Debug)]
pub(super) struct RabbitSubscriber {
    intake: Arc<Intake>,
    arrivals: mpsc::Receiver<Arrival>,
    /// What a consumer may hold.
    hands: Arc<Semaphore>,
    /// The pump stops when it is dropped.
    _stop: watch::Sender<()>,
}

pub(super) async fn subscribe(
    connection: &Arc<Connection>,
    options: &SubscribeOptions,
) -> Result<RabbitSubscriber, BusError> {
    connection.open_or_closed()?;
    let agreement = Agreement::of(options);
    let member = match options.group() {
        Some(group) => Member::group(group),
        None => Member::alone(&connection.unique()),
    };
    queues::make(connection, &member, &agreement).await?;
    let prefetch = queues::prefetch(options);
    let (sender, arrivals) = mpsc::channel(usize::from(prefetch) + connection.names.lanes().count());
    let (stop, stopped) = watch::channel(());
    let end = watch::Sender::new(None);
    let intake = Arc::new(Intake { connection: connection.clone(), agreement, member, prefetch, end });
    let (ready, is_ready) = oneshot::channel();
    let pump = Pump { intake: intake.clone(), arrivals: sender, stop: stopped };
    tokio::spawn(pump.run(ready));
    // Its consumers are known to the broker, unless that fails right now.
    let _ = timeout(ANSWER_WITHIN, is_ready).await;
    let hands = Arc::new(Semaphore::new(options.max_in_flight()));
    Ok(RabbitSubscriber { intake, arrivals, hands, _stop: stop })
}

/// Consumes from one session after the other.
struct Pump {
    intake: Arc<Intake>,
    arrivals: mpsc::Sender<Arrival>,
    stop: watch::Receiver<()>,
}

/// A message of a lane, or that no more come from it.
type Next = (Lane, Option<Result<lapin::message::Delivery, lapin::Error>>);

/// The consumers of one session.
struct Consumers {
    channel: Channel,
    answers: Arc<Answers>,
    tags: Vec<ShortString>,
    messages: SelectAll<BoxStream<'static, Next>>,
}

impl Pump {
    async fn run(mut self, ready: oneshot::Sender<()>) {
        let mut ready = Some(ready);
        let mut closed = self.intake.connection.link.closed.subscribe();
        loop {
            let attached = tokio::select! {
                biased;
                _ = self.stop.changed() => return,
                () = async { drop(closed.wait_for(|closed| *closed).await) } => return self.intake.end(End::Closed),
                attached = self.intake.attach() => attached,
            };
            match attached {
                Ok(mut consumers) => {
                    if let Some(ready) = ready.take() {
                        let _ = ready.send(());
                    }
                    let lost = tokio::select! {
                        biased;
                        _ = self.stop.changed() => false,
                        () = async { drop(closed.wait_for(|closed| *closed).await) } => false,
                        () = consumers.pump(&self.intake, &self.arrivals) => true,
                    };
                    if !lost {
                        self.intake.end(End::Closed);
                        return consumers.detach().await;
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot consume at present"),
            }
            if self.intake.connection.has_queues(&self.intake.member).await == Some(false) {
                return self.intake.end(End::Removed);
            }
            sleep(NOT_READY).await;
        }
    }
}

impl Consumers {
    /// Runs until a consumer is lost.
    async fn pump(&mut self, intake: &Arc<Intake>, arrivals: &mpsc::Sender<Arrival>) {
        while let Some((lane, Some(Ok(delivery)))) = self.messages.next().await {
            if let Some(arrival) = intake.admit(lane, delivery, &self.answers).await
                && arrivals.send(arrival).await.is_err()
            {
                return;
            }
        }
    }

    /// Takes nothing any more. The channel stays open until what was handed out is answered.
    async fn detach(mut self) {
        for tag in &self.tags {
            let cancelled = self.channel.basic_cancel(tag.clone(), BasicCancelOptions::default());
            if !matches!(timeout(ANSWER_WITHIN, cancelled).await, Ok(Ok(()))) {
                return;
            }
        }
        while let Some(Some((_, message))) = self.messages.next().now_or_never() {
            if let Some(Ok(delivery)) = message {
                // If it cannot be told, the broker has it back already.
                let _ = self.answers.give(Answer::Returned(delivery.delivery_tag));
            }
        }
    }
}

impl Intake {
    fn end(&self, end: End) {
        self.end.send_if_modified(|current| {
            let first = current.is_none();
            *current = Some(current.unwrap_or(end));
            first
        });
    }

    async fn attach(&self) -> Result<Consumers, BusError> {
        let what = "consume";
        let deadline = Instant::now() + Duration::from_secs(3600);
        let Some(session) = self.connection.link.session(deadline).await else {
            return Err(BusError::Broker { what, source: "there is no connection".into() });
        };
        let channel = session.channel().await?;
        let (mut tags, mut messages) = (Vec::new(), Vec::new());
        for lane in self.connection.names.lanes() {
            let prefetch = if lane == Lane::Unkeyed { self.prefetch } else { 1 };
            let qos = channel.basic_qos(prefetch, BasicQosOptions::default());
            answered(what, timeout(ANSWER_WITHIN, qos).await)?;
            let queue = short(&self.connection.names.queue(&self.member, lane));
            let consumed = channel.basic_consume(
                queue,
                short(""),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            );
            let consumer: Consumer = answered(what, timeout(2 * ANSWER_WITHIN, consumed).await)?;
            tags.push(consumer.tag());
            let end = futures_util::stream::once(async move { (lane, None) });
            messages.push(consumer.map(move |delivery| (lane, Some(delivery))).chain(end).boxed());
        }
        let prefetched = usize::from(self.prefetch) + usize::from(self.connection.options.partitions);
        let answers = Arc::new(Answers::of(channel.clone(), prefetched));
        Ok(Consumers { channel, answers, tags, messages: select_all(messages) })
    }

    /// The message, unless it is not for a consumer: then it is dealt with.
    async fn admit(
        self: &Arc<Self>,
        lane: Lane,
        mut delivery: lapin::message::Delivery,
        answers: &Arc<Answers>,
    ) -> Option<Arrival> {
        let (attempt, payload) = (attempt(&delivery.properties), payload(&mut delivery));
        let topic = self.connection.names.topic(&delivery);
        let read = fields(&delivery.properties).message(topic, payload.clone());
        let (message, trouble) = match read {
            Ok(message) if attempt > self.agreement.max_attempts => {
                (message, Some("its consumers went away without an answer".to_owned()))
            }
            Ok(message) => (message, None),
            Err(error) => {
                let topic = Topic::new("_unreadable").ok()?;
                (Message::new(topic, payload), Some(error.to_string()))
            }
        };
        let arrival = Arrival::new(self, lane, message.clone(), attempt, delivery.delivery_tag, answers);
        let Some(error) = trouble else {
            // Wildcards of the broker also match topics that are the bus's own.
            if self.agreement.pattern.matches(message.topic()) {
                return Some(arrival);
            }
            arrival.acknowledge();
            return None;
        };
        let attempts = attempt.saturating_sub(1);
        match self.connection.bury(&self.member, &self.agreement, &message, attempts, &error).await {
            Ok(()) => arrival.acknowledge(),
            Err(error) => tracing::warn!(%error, "a dead letter was not kept, its message comes again"),
        }
        None
    }
}

impl RabbitSubscriber {
    fn ended(&self) -> Result<Option<Delivery>, BusError> {
        let end = *self.intake.end.borrow();
        match end {
            Some(End::Removed) if self.intake.agreement.group.is_none() => Err(BusError::Expired),
            _ => Ok(None),
        }
    }
}

#[async_trait]
impl Subscriber for RabbitSubscriber {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        let mut end = self.intake.end.subscribe();
        let hands = self.hands.clone();
        let arrived = async {
            let hand = hands.acquire_owned().await.ok()?;
            loop {
                let arrival = self.arrivals.recv().await?;
                if !arrival.can_be_answered() {
                    arrival.forget();
                } else if arrival.has_lapsed(self.intake.connection.clock.now()) {
                    arrival.acknowledge();
                } else {
                    return arrival.hand_out(hand);
                }
            }
        };
        let delivery = tokio::select! {
            biased;
            _ = end.wait_for(Option::is_some) => None,
            delivery = arrived => delivery,
        };
        match delivery {
            Some(delivery) => Ok(Some(delivery)),
            None => self.ended(),
        }
    }
}

impl Drop for RabbitSubscriber {
    fn drop(&mut self) {
        if self.intake.agreement.group.is_some() {
            return;
        }
        // The broker forgets it by itself if this does not reach it.
        let intake = self.intake.clone();
        self.intake.connection.runtime.spawn(async move {
            if let Err(error) = intake.connection.remove_queues(&intake.member).await {
                tracing::debug!(%error, "a subscription is left to the broker");
            }
        });
    }
}
