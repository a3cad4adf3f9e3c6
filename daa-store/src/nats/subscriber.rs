//! A member of a group, or a subscription without one.

use std::sync::Arc;

use async_trait::async_trait;
use daa_core::bus::{BusError, Delivery, Message, SubscribeOptions, Subscriber};
use daa_core::id::Topic;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::connection::Connection;
use super::lane::Lane;
use super::names::Member;
use super::progress::Progress;
use super::publish::{fields, headers};
use super::settle::Arrival;
use crate::bus::{Agreement, Letter};

/// Why no more messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    /// The consumers are gone.
    Removed,
}

/// What the lanes of a subscriber share.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) connection: Arc<Connection>,
    pub(super) agreement: Agreement,
    pub(super) progress: Arc<Progress>,
    member: Member,
    end: watch::Sender<Option<End>>,
}

#[derive(Debug)]
pub(super) struct NatsSubscriber {
    intake: Arc<Intake>,
    arrivals: mpsc::Receiver<Arrival>,
    /// What a consumer may hold.
    hands: Arc<Semaphore>,
    /// The lanes stop when it is dropped.
    _stop: watch::Sender<()>,
}

pub(super) async fn subscribe(
    connection: &Arc<Connection>,
    options: &SubscribeOptions,
) -> Result<NatsSubscriber, BusError> {
    connection.open_or_closed()?;
    let agreement = Agreement::of(options);
    let member = match options.group() {
        Some(group) => Member::group(group),
        None => Member::alone(&connection.unique("")),
    };
    connection.make_consumers(&member, &agreement).await?;
    let window = options.max_in_flight().min(options.capacity());
    let lanes: Vec<_> = connection.names.lanes().collect();
    let (sender, arrivals) = mpsc::channel(window + lanes.len());
    let (stop, stopped) = watch::channel(());
    let progress = Arc::new(Progress::default());
    tokio::spawn(progress.clone().tell(connection.client.clone()));
    let end = watch::Sender::new(None);
    let intake = Arc::new(Intake { connection: connection.clone(), agreement, progress, member, end });
    for lane in lanes {
        let window = if lane.is_sequential() { 1 } else { window };
        let lane = Lane {
            intake: intake.clone(),
            consumer: intake.member.consumer(lane),
            credits: Arc::new(Semaphore::new(window)),
            window,
            arrivals: sender.clone(),
            stop: stopped.clone(),
        };
        tokio::spawn(lane.run());
    }
    Ok(NatsSubscriber {
        intake,
        arrivals,
        hands: Arc::new(Semaphore::new(options.max_in_flight())),
        _stop: stop,
    })
}

impl Intake {
    pub(super) fn end(&self, end: End) {
        self.end.send_if_modified(|current| {
            let first = current.is_none();
            *current = Some(current.unwrap_or(end));
            first
        });
    }

    /// The message, unless it is not for a consumer: then it is dealt with.
    pub(super) async fn admit(
        self: &Arc<Self>,
        received: async_nats::Message,
        credit: Option<OwnedSemaphorePermit>,
    ) -> Option<Arrival> {
        let answers = received.reply.clone()?;
        let Some((delivered, sequence)) = origin(&answers) else {
            tracing::error!(subject = %answers, "NATS sent something that is no message of a stream");
            return None;
        };
        let fields = fields(received.headers.as_ref());
        let topic = self.connection.names.topic(&received.subject);
        let read = fields.message(topic, received.payload.clone());
        let (message, trouble) = match read {
            Ok(message) if delivered > self.agreement.max_attempts => {
                (message, Some("its consumers went away without an answer".to_owned()))
            }
            Ok(message) => (message, None),
            Err(error) => (unreadable(received.payload.clone())?, Some(error.to_string())),
        };
        let arrival = Arrival::new(self, message.clone(), delivered, sequence, answers, credit);
        let Some(error) = trouble else {
            // Wildcards of the server also match topics that are the bus's own.
            if self.agreement.pattern.matches(message.topic()) {
                return Some(arrival);
            }
            arrival.acknowledge();
            return None;
        };
        match self.bury(&message, sequence, delivered.saturating_sub(1), &error).await {
            Ok(()) => arrival.acknowledge(),
            Err(error) => tracing::warn!(%error, "a dead letter was not kept, its message comes again"),
        }
        None
    }

    /// Keeps a dead letter. Its origin is its id, so that doing it again does not double it.
    pub(super) async fn bury(
        &self,
        message: &Message,
        sequence: u64,
        attempts: u32,
        error: &str,
    ) -> Result<(), BusError> {
        let Connection { names, clock, .. } = &*self.connection;
        tracing::warn!(topic = %message.topic(), attempts, error, "dead letter");
        let letter = Letter { agreement: &self.agreement, attempts, error, at: clock.now() };
        let subject = names.dead(&self.member);
        let id = format!("~dead {subject} {sequence}");
        let headers = || headers(&letter.fields(message));
        let kept = self.connection.confirmed(message.topic(), subject, &id, headers, message.payload());
        kept.await.map(drop)
    }
}

/// How often a message was delivered, and its place in the stream, as the subject for its answers has it:
/// `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE…`, with a domain and an account before the stream in newer servers.
fn origin(answers: &str) -> Option<(u32, u64)> {
    let parts = answers.split('.').count();
    let before = if parts >= 11 { 6 } else { 4 };
    let mut parts = answers.split('.').skip(before);
    let delivered = parts.next()?.parse().ok()?;
    Some((delivered, parts.next()?.parse().ok()?))
}

/// What somebody else put into the stream, for a dead letter.
fn unreadable(payload: bytes::Bytes) -> Option<Message> {
    Topic::new("_unreadable").ok().map(|topic| Message::new(topic, payload))
}

impl NatsSubscriber {
    fn ended(&self) -> Result<Option<Delivery>, BusError> {
        let end = *self.intake.end.borrow();
        match end {
            Some(End::Removed) if self.intake.agreement.group.is_none() => Err(BusError::Expired),
            _ => Ok(None),
        }
    }
}

#[async_trait]
impl Subscriber for NatsSubscriber {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        let mut end = self.intake.end.subscribe();
        let hands = self.hands.clone();
        let arrived = async {
            let hand = hands.acquire_owned().await.ok()?;
            loop {
                let arrival = self.arrivals.recv().await?;
                if !arrival.has_lapsed(self.intake.connection.clock.now()) {
                    return arrival.hand_out(hand);
                }
                arrival.acknowledge();
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

impl Drop for NatsSubscriber {
    fn drop(&mut self) {
        if self.intake.agreement.group.is_some() {
            return;
        }
        // The server forgets it by itself if this does not reach it.
        let intake = self.intake.clone();
        self.intake.connection.runtime.spawn(async move {
            if let Err(error) = intake.connection.remove_consumers(&intake.member).await {
                tracing::debug!(%error, "a subscription is left to the server");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_a_message_is_read_from_both_forms() {
        assert_eq!(origin("$JS.ACK.bus.g-a-u.3.17.9.1700000000000000000.0"), Some((3, 17)));
        assert_eq!(origin("$JS.ACK._.hash.bus.g-a-u.3.17.9.1700000000000000000.0.token"), Some((3, 17)));
        assert_eq!(origin("_INBOX.1"), None);
    }
}
