//! A member of a group, or a subscription without one.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Subject;
use daa_core::bus::{BusError, Message, SubscribeOptions};
use daa_core::clock::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Connection;
use super::lane::Lane;
use super::names::Names;
use super::progress::{Held, Progress};
use super::publish::{fields, headers};
use crate::bus::{Agreement, Arrival, Intake, Letter, Member, Subscription, broker, subscription};

/// What the lanes of a subscriber share.
#[derive(Debug)]
pub(super) struct NatsIntake {
    pub(super) connection: Arc<Connection>,
    agreement: Agreement,
    progress: Arc<Progress>,
    member: Member,
}

/// What an answer to one message takes.
#[derive(Debug)]
pub(super) struct Token {
    /// The place in the stream.
    sequence: u64,
    answers: Subject,
    _held: Held,
    _credit: Option<OwnedSemaphorePermit>,
}

pub(super) async fn subscribe(
    connection: &Arc<Connection>,
    options: &SubscribeOptions,
) -> Result<Subscription<NatsIntake>, BusError> {
    connection.open_or_closed()?;
    let agreement = Agreement::of(options);
    let member = Member::of(options.group(), || connection.unique(""));
    connection.make_consumers(&member, &agreement).await?;
    let window = options.max_in_flight().min(options.capacity());
    let lanes: Vec<_> = connection.names.lanes().collect();
    let progress = Arc::new(Progress::default());
    tokio::spawn(progress.clone().tell(connection.client.clone()));
    let intake = NatsIntake { connection: connection.clone(), agreement, progress, member };
    let (feed, subscription) = subscription(intake, options, window + lanes.len());
    for lane in lanes {
        let window = if lane.is_sequential() { 1 } else { window };
        let consumer = Names::consumer(&feed.intake.member, lane);
        let credits = Arc::new(Semaphore::new(window));
        tokio::spawn(Lane { feed: feed.clone(), consumer, credits, window }.run());
    }
    Ok(subscription)
}

impl NatsIntake {
    /// The message, unless it is not for a consumer: then it is dealt with.
    pub(super) async fn admit(
        self: &Arc<Self>,
        received: async_nats::Message,
        credit: Option<OwnedSemaphorePermit>,
    ) -> Option<Arrival<Self>> {
        let answers = received.reply?;
        let Some((delivered, sequence)) = origin(&answers) else {
            tracing::error!(subject = %answers, "NATS sent something that is no message of a stream");
            return None;
        };
        let topic = self.connection.names.topic(&received.subject);
        let read = fields(received.headers.as_ref()).message(topic, received.payload.clone());
        let held = self.progress.hold(answers.clone());
        let token = Token { sequence, answers, _held: held, _credit: credit };
        Arrival::admit(self, read, &received.payload, delivered, token).await
    }

    async fn tell(&self, token: &Token, answer: impl Into<bytes::Bytes>) -> Result<(), BusError> {
        let told = self.connection.client.publish(token.answers.clone(), answer.into()).await;
        told.map_err(|error| broker("answer a message")(error.into()))
    }
}

impl Intake for NatsIntake {
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

    async fn acknowledge(&self, token: Token) -> Result<(), BusError> {
        self.tell(&token, "+ACK").await
    }

    async fn give_back(&self, token: Token) -> Result<(), BusError> {
        self.tell(&token, "-NAK").await
    }

    async fn redeliver(&self, _: &Message, _: u32, token: Token, after: Duration) -> Result<(), BusError> {
        self.tell(&token, format!(r#"-NAK {{"delay":{}}}"#, after.as_nanos())).await
    }

    /// The origin of a dead letter is its id, so that doing it again does not double it.
    async fn bury(
        &self,
        message: &Message,
        attempts: u32,
        token: &Token,
        error: &str,
    ) -> Result<(), BusError> {
        let Connection { names, clock, .. } = &*self.connection;
        let letter = Letter { agreement: &self.agreement, attempts, error, at: clock.now() };
        let subject = names.dead(&self.member);
        let id = format!("~dead {subject} {}", token.sequence);
        let headers = || headers(&letter.fields(message));
        let kept = self.connection.confirmed(message.topic(), subject, &id, headers, message.payload());
        kept.await.map(drop)
    }

    async fn leave(&self) -> Result<(), BusError> {
        self.connection.remove_consumers(&self.member).await.map(drop)
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
