//! Fetches the messages of one consumer.
//!
//! A lane asks for as many messages as it has credits. A message takes its credit along and gives it back when it is
//! answered, so that a process never holds more than the credits, and what nobody works on stays at the server, where
//! other members get it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::subscriber::NatsIntake;
use crate::bus::{End, Feed};

/// How long the server waits for messages before it lets a request lapse.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that a request is still there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Nothing for so long: the server has forgotten the request.
const SILENCE: Duration = Duration::from_millis(2500);
/// How long until a server that is not ready is asked again.
const NOT_READY: Duration = Duration::from_millis(50);

pub(super) struct Lane {
    pub(super) feed: Feed<NatsIntake>,
    pub(super) consumer: String,
    pub(super) credits: Arc<Semaphore>,
    pub(super) window: usize,
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

/// What a lane waited for.
enum Came {
    /// The connection is another one, which knows nothing of what was asked.
    Connection,
    Credit(OwnedSemaphorePermit),
    Next(Result<Option<Message>, Elapsed>),
}

/// The credits of the messages that the server was asked for.
#[derive(Default)]
struct Asked(Option<OwnedSemaphorePermit>);

impl Asked {
    fn open(&self) -> usize {
        self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    fn is_empty(&self) -> bool {
        self.open() == 0
    }

    /// How many more are worth asking for: few large requests rather than many small ones, but never none.
    fn wanted(&self, window: usize) -> u32 {
        let wanted = match self.open() {
            0 => 1,
            open if open < window => (window / 4).max(1),
            _ => 0,
        };
        u32::try_from(wanted).unwrap_or(1)
    }

    fn add(&mut self, credit: OwnedSemaphorePermit) {
        match &mut self.0 {
            Some(asked) => asked.merge(credit),
            None => self.0 = Some(credit),
        }
    }

    /// The credit of one that came.
    fn take(&mut self) -> Option<OwnedSemaphorePermit> {
        self.0.as_mut()?.split(1)
    }

    /// So many do not come, or none.
    fn lapse(&mut self, messages: Option<usize>) {
        let lapsed = messages.unwrap_or(usize::MAX).min(self.open());
        drop(self.0.as_mut().and_then(|asked| asked.split(lapsed)));
    }

    fn lapse_all(&mut self) {
        self.0 = None;
    }
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
        let inbox = self.feed.intake.connection.client.new_inbox();
        let subscribed = self.feed.intake.connection.client.subscribe(inbox.clone()).await;
        let end = match subscribed {
            Ok(mut messages) => {
                let end = self.fetch(&inbox, &mut messages).await;
                self.give_back(messages).await;
                end
            }
            Err(_) => Some(End::Closed),
        };
        if let Some(end) = end {
            self.feed.end(end);
        }
    }

    /// `None` when nobody wants the messages any more.
    async fn fetch(&mut self, inbox: &str, messages: &mut Subscriber) -> Option<End> {
        let mut connects = self.feed.intake.connection.connects.subscribe();
        let mut closed = self.feed.intake.connection.closed.subscribe();
        let mut asked = Asked::default();
        loop {
            // What came already is taken before anything is waited for, which costs more than the message.
            let came = if asked.is_empty() || !self.feed.is_wanted() || *closed.borrow() {
                None
            } else {
                messages.next().now_or_never()
            };
            let came = match came {
                Some(message) => Came::Next(Ok(message)),
                None => {
                    let wanted = asked.wanted(self.window);
                    tokio::select! {
                        biased;
                        () = self.feed.stopped() => return None,
                        () = async { drop(closed.wait_for(|closed| *closed).await) } => return Some(End::Closed),
                        _ = connects.changed() => Came::Connection,
                        next = timeout(SILENCE, messages.next()), if !asked.is_empty() => Came::Next(next),
                        credit = self.credits.clone().acquire_many_owned(wanted), if wanted > 0 => Came::Credit(credit.ok()?),
                    }
                }
            };
            match came {
                Came::Connection => asked.lapse_all(),
                Came::Credit(credit) => self.ask(inbox, credit, &mut asked).await?,
                Came::Next(Ok(None)) => return Some(End::Closed),
                Came::Next(Ok(Some(message))) => match sign(message) {
                    Sign::Message(message) => {
                        self.take(message, asked.take()).await?;
                        let wanted = asked.wanted(self.window);
                        if wanted > 0
                            && let Ok(credit) = self.credits.clone().try_acquire_many_owned(wanted)
                        {
                            self.ask(inbox, credit, &mut asked).await?;
                        }
                    }
                    Sign::Lapsed(left) => asked.lapse(left),
                    Sign::Alive => {}
                    Sign::NotReady => {
                        sleep(NOT_READY).await;
                        asked.lapse_all();
                    }
                    Sign::Removed => return Some(End::Removed),
                },
                Came::Next(Err(_)) => {
                    if self.feed.intake.connection.has_consumer(&self.consumer).await == Some(false) {
                        return Some(End::Removed);
                    }
                    asked.lapse_all();
                }
            }
        }
    }

    /// Asks for as many messages as there are credits. `None` when the connection is closed for good.
    async fn ask(&self, inbox: &str, mut credit: OwnedSemaphorePermit, asked: &mut Asked) -> Option<()> {
        let more = u32::try_from(self.credits.available_permits().min(self.window)).unwrap_or(0);
        if let Ok(more) = self.credits.clone().try_acquire_many_owned(more) {
            credit.merge(more);
        }
        let Connection { client, names, .. } = &*self.feed.intake.connection;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", names.stream(), self.consumer);
        let (messages, expires, heartbeat) = (credit.num_permits(), EXPIRES.as_nanos(), HEARTBEAT.as_nanos());
        let request = format!(r#"{{"batch":{messages},"expires":{expires},"idle_heartbeat":{heartbeat}}}"#);
        client.publish_with_reply(subject, inbox.to_owned(), request.into()).await.ok()?;
        asked.add(credit);
        Some(())
    }

    /// `None` when nobody wants it any more.
    async fn take(&self, message: Message, credit: Option<OwnedSemaphorePermit>) -> Option<()> {
        match self.feed.intake.admit(message, credit).await {
            Some(arrival) => self.feed.send(arrival).await,
            None => Some(()),
        }
    }

    /// What was sent to a subscriber that has left goes to other members at once.
    async fn give_back(&self, mut messages: Subscriber) {
        let _ = messages.unsubscribe().await;
        while let Some(Some(message)) = messages.next().now_or_never() {
            if let (Sign::Message(_), Some(answers)) = (sign(message.clone()), message.reply) {
                let _ = self.feed.intake.connection.client.publish(answers, "-NAK".into()).await;
            }
        }
    }
}
