//! Fetches the messages of one consumer.
//!
//! A lane asks for as many messages as it has credits. A message takes its credit along and gives it back when it is
//! answered, so that a process never holds more than the credits, and what nobody works on stays at the server, where
//! other members get it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::settle::Arrival;
use super::subscriber::{End, Intake};

/// How long the server waits for messages before it lets a request lapse.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that a request is still there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Nothing for so long: the server has forgotten the request.
const SILENCE: Duration = Duration::from_millis(2500);
/// How long until a server that is not ready is asked again.
const NOT_READY: Duration = Duration::from_millis(50);

pub(super) struct Lane {
    pub(super) intake: Arc<Intake>,
    pub(super) consumer: String,
    pub(super) credits: Arc<Semaphore>,
    pub(super) window: usize,
    pub(super) arrivals: mpsc::Sender<Arrival>,
    pub(super) stop: watch::Receiver<()>,
}

/// What came instead of a message.
enum Sign {
    Message(Message),
    /// The server gives up on so many of the messages that it was asked for.
    Lapsed(Option<usize>),
    Alive,
    NotReady,
    Removed,
}

fn sign(message: Message) -> Sign {
    match message.status.map(|status| status.as_u16()) {
        None | Some(200) => Sign::Message(message),
        Some(100) => Sign::Alive,
        Some(409) if message.description.as_deref() == Some("Consumer Deleted") => Sign::Removed,
        Some(503) => Sign::NotReady,
        Some(_) => {
            let left = message.headers.as_ref().and_then(|headers| headers.get("Nats-Pending-Messages"));
            Sign::Lapsed(left.and_then(|left| left.as_str().parse().ok()))
        }
    }
}

impl Lane {
    /// Runs until the subscriber leaves, the bus is closed, or the consumer is gone.
    pub(super) async fn run(mut self) {
        let inbox = self.intake.connection.client.new_inbox();
        let subscribed = self.intake.connection.client.subscribe(inbox.clone()).await;
        let end = match subscribed {
            Ok(mut messages) => {
                let end = self.fetch(&inbox, &mut messages).await;
                self.give_back(messages).await;
                end
            }
            Err(_) => Some(End::Closed),
        };
        if let Some(end) = end {
            self.intake.end(end);
        }
    }

    /// `None` when nobody wants the messages any more.
    async fn fetch(&mut self, inbox: &str, messages: &mut Subscriber) -> Option<End> {
        let mut connects = self.intake.connection.connects.subscribe();
        let mut closed = self.intake.connection.closed.subscribe();
        let mut asked: Option<OwnedSemaphorePermit> = None;
        loop {
            let open = asked.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            // Few large requests rather than many small ones, but never none.
            let wanted = if open == 0 { 1 } else { (self.window / 4).max(1) };
            let credits = self.credits.clone();
            tokio::select! {
                biased;
                _ = self.stop.changed() => return None,
                () = async { drop(closed.wait_for(|closed| *closed).await) } => return Some(End::Closed),
                _ = connects.changed() => asked = None,
                next = timeout(SILENCE, messages.next()), if open > 0 => match next {
                    Ok(Some(message)) => match sign(message) {
                        Sign::Message(message) => {
                            let credit = asked.as_mut().and_then(|asked| asked.split(1));
                            self.take(message, credit).await?;
                        }
                        Sign::Lapsed(left) => drop(asked.as_mut().and_then(|asked| asked.split(left.unwrap_or(open).min(open)))),
                        Sign::Alive => {}
                        Sign::NotReady => {
                            sleep(NOT_READY).await;
                            asked = None;
                        }
                        Sign::Removed => return Some(End::Removed),
                    },
                    Ok(None) => return Some(End::Closed),
                    Err(_) => {
                        if self.intake.connection.has_consumer(&self.consumer).await == Some(false) {
                            return Some(End::Removed);
                        }
                        asked = None;
                    }
                },
                credit = credits.acquire_many_owned(u32::try_from(wanted).unwrap_or(1)), if open < self.window => {
                    let mut credit = credit.ok()?;
                    let more = u32::try_from(self.credits.available_permits().min(self.window)).unwrap_or(0);
                    if let Ok(more) = self.credits.clone().try_acquire_many_owned(more) {
                        credit.merge(more);
                    }
                    if !self.ask(inbox, credit.num_permits()).await {
                        return Some(End::Closed);
                    }
                    match &mut asked {
                        Some(asked) => asked.merge(credit),
                        None => asked = Some(credit),
                    }
                }
            }
        }
    }

    /// `false` when the connection is closed for good.
    async fn ask(&self, inbox: &str, messages: usize) -> bool {
        let Connection { client, names, .. } = &*self.intake.connection;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", names.stream(), self.consumer);
        let (expires, heartbeat) = (EXPIRES.as_nanos(), HEARTBEAT.as_nanos());
        let request = format!(r#"{{"batch":{messages},"expires":{expires},"idle_heartbeat":{heartbeat}}}"#);
        client.publish_with_reply(subject, inbox.to_owned(), request.into()).await.is_ok()
    }

    /// `None` when nobody wants it any more.
    async fn take(&self, message: Message, credit: Option<OwnedSemaphorePermit>) -> Option<()> {
        match self.intake.admit(message, credit).await {
            Some(arrival) => self.arrivals.send(arrival).await.ok(),
            None => Some(()),
        }
    }

    /// What was sent to a subscriber that has left goes to other members at once.
    async fn give_back(&self, mut messages: Subscriber) {
        let _ = messages.unsubscribe().await;
        while let Some(Some(message)) = messages.next().now_or_never() {
            if let (Sign::Message(_), Some(answers)) = (sign(message.clone()), message.reply) {
                let _ = self.intake.connection.client.publish(answers, "-NAK".into()).await;
            }
        }
    }
}
