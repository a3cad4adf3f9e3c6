//! Publishing with confirmation.

use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use daa_core::bus::{BusError, Message, Published};
use daa_core::id::Topic;
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::{ANSWER_WITHIN, Connection};
use crate::bus::{Fields, broker};

/// How long until what was not confirmed is sent again, when the server says at once that it cannot.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

impl Connection {
    pub(super) async fn publish(&self, message: Message) -> Result<Published, BusError> {
        message.check()?;
        self.open_or_closed()?;
        // Without an id of its own it gets one here, so that sending it again does not double it. No id has a `~`.
        let id = message.id().map_or_else(|| self.unique("~"), ToString::to_string);
        let headers = || headers(&Fields::of(&message, false));
        let subject = self.names.message(&message);
        let sent = self.confirmed(message.topic(), subject, &id, headers, message.payload()).await?;
        let published = Published::default();
        Ok(if sent.duplicate && message.id().is_some() { published.as_duplicate() } else { published })
    }

    /// Sends until the server confirms, under one id. Whether an earlier message had the id is told only when it was
    /// sent once.
    pub(super) async fn confirmed(
        &self,
        topic: &Topic,
        subject: impl Into<Subject>,
        id: &str,
        headers: impl Fn() -> HeaderMap,
        payload: &Bytes,
    ) -> Result<PublishAck, BusError> {
        let subject = subject.into();
        let limit = self.options.confirm_within;
        let deadline = Instant::now() + limit;
        let unconfirmed = || BusError::Unconfirmed { topic: topic.clone(), limit };
        let mut tries = 0;
        loop {
            tries += 1;
            let mut headers = headers();
            headers.insert(NATS_MESSAGE_ID, id);
            let message = PublishMessage::build().headers(headers).payload(payload.clone());
            let error = match self.send(deadline, subject.clone(), message).await {
                Some(Ok(mut ack)) => {
                    ack.duplicate &= tries == 1;
                    return Ok(ack);
                }
                Some(Err(error)) => error,
                None => return Err(unconfirmed()),
            };
            match reaction(&error) {
                Reaction::TryAgain if Instant::now() + TRY_AGAIN_AFTER < deadline => {
                    tracing::debug!(%error, tries, "not confirmed");
                    sleep(TRY_AGAIN_AFTER).await;
                }
                Reaction::TryAgain => return Err(unconfirmed()),
                Reaction::Full => return Err(BusError::Full { topic: topic.clone() }),
                Reaction::GiveUp => return Err(broker("publish")(error.into())),
            }
        }
    }

    /// `None` when there is no answer by the deadline.
    async fn send(
        &self,
        deadline: Instant,
        subject: Subject,
        message: PublishMessage,
    ) -> Option<Result<PublishAck, PublishError>> {
        let mut connects = self.connects.subscribe();
        let confirmed = async {
            let confirmation = self.context.send_publish(subject, message).await?;
            tokio::select! {
                biased;
                confirmed = confirmation.into_future() => confirmed,
                // The confirmation of what was sent on an earlier connection does not come any more.
                _ = connects.changed() => Err(PublishErrorKind::TimedOut.into()),
            }
        };
        // The client gives up sending and waiting by itself; another timer would cost as much as all else here.
        if Instant::now() + 2 * ANSWER_WITHIN < deadline {
            return Some(confirmed.await);
        }
        timeout_at(deadline, confirmed).await.ok()
    }
}

enum Reaction {
    TryAgain,
    Full,
    GiveUp,
}

fn reaction(error: &PublishError) -> Reaction {
    use std::error::Error;
    match error.kind() {
        // A server that has just started has no stream yet.
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe | PublishErrorKind::StreamNotFound => {
            Reaction::TryAgain
        }
        PublishErrorKind::Other | PublishErrorKind::MaxAckPending => {
            let told =
                error.source().and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>());
            match told.map(|told| told.error_code()) {
                Some(ErrorCode::STREAM_STORE_FAILED) => Reaction::Full,
                Some(code) if is_passing(code) => Reaction::TryAgain,
                None => Reaction::TryAgain,
                Some(_) => Reaction::GiveUp,
            }
        }
        _ => Reaction::GiveUp,
    }
}

/// What a server or a cluster says while it starts.
fn is_passing(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::CLUSTER_NOT_AVAILABLE
            | ErrorCode::CLUSTER_NOT_LEADER
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::JETSTREAM_NOT_ENABLED
    )
}

pub(super) fn headers(fields: &Fields) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter() {
        headers.insert(name, value);
    }
    headers
}

pub(super) fn fields(headers: Option<&HeaderMap>) -> Fields {
    let mut fields = Fields::default();
    let ours = |name: &str| !name.starts_with("Nats-");
    for (name, values) in
        headers.into_iter().flat_map(HeaderMap::iter).filter(|(name, _)| ours(name.as_ref()))
    {
        if let Some(value) = values.last() {
            fields.push(name.to_string(), value.as_str());
        }
    }
    fields
}
