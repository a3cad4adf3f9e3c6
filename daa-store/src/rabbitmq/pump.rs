//! Takes the messages of the queues of a member from the broker.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use daa_core::bus::BusError;
use futures_util::future::join_all;
use futures_util::stream::{BoxStream, SelectAll, once, select_all};
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::answers::{Answer, Answers};
use super::link::Session;
use super::reading::Reading;
use super::subscriber::RabbitIntake;
use crate::bus::{End, Feed, Intake, Lane, broker};

/// How long until a broker that is not ready is asked again.
const NOT_READY: Duration = Duration::from_millis(50);

/// Consumes from one session after the other.
pub(super) struct Pump {
    pub(super) feed: Feed<RabbitIntake>,
}

/// What came from a lane: a message, or `None` when it is over.
type Next = (usize, Option<Result<Delivery, lapin::Error>>);

/// The lanes of one session.
struct Consumers {
    lanes: Vec<Consuming>,
    messages: SelectAll<BoxStream<'static, Next>>,
}

/// A lane. It has a channel of its own: only when that is closed goes what is not answered back to its place before the
/// partition goes to another member. Where a consumer is cancelled, the other member gets the next message at once.
struct Consuming {
    lane: Lane,
    reading: Reading,
    answers: Arc<Answers>,
    /// Ends when all is answered that ever will be.
    told: JoinHandle<()>,
}

/// Why a pump stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// A consumer was lost.
    Lost,
    Unwanted,
}

impl Pump {
    pub(super) async fn run(mut self, ready: oneshot::Sender<()>) {
        let mut ready = Some(ready);
        let feed = self.feed.clone();
        let intake = self.feed.intake.clone();
        let mut closed = intake.connection.link.closed.subscribe();
        loop {
            let attached = tokio::select! {
                biased;
                () = self.feed.stopped() => return,
                () = async { drop(closed.wait_for(|closed| *closed).await) } => return self.feed.end(End::Closed),
                attached = intake.attach() => attached,
            };
            match attached {
                Ok(mut consumers) => {
                    if let Some(ready) = ready.take() {
                        let _ = ready.send(());
                    }
                    let stop = tokio::select! {
                        biased;
                        () = self.feed.stopped() => Stop::Unwanted,
                        () = async { drop(closed.wait_for(|closed| *closed).await) } => Stop::Unwanted,
                        stop = consumers.pump(&feed) => stop,
                    };
                    if stop == Stop::Unwanted {
                        intake.stop();
                        self.feed.end(End::Closed);
                        return consumers.detach(&intake).await;
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot consume at present"),
            }
            if intake.connection.has_queues(&intake.member).await == Some(false) {
                return self.feed.end(End::Removed);
            }
            sleep(NOT_READY).await;
        }
    }
}

impl Consumers {
    async fn pump(&mut self, feed: &Feed<RabbitIntake>) -> Stop {
        while let Some((index, Some(Ok(delivery)))) = self.messages.next().await {
            let Some(Consuming { lane, answers, .. }) = self.lanes.get(index) else { break };
            if let Some(arrival) = feed.intake.admit(*lane, delivery, answers).await
                && feed.send(arrival).await.is_none()
            {
                return Stop::Unwanted;
            }
        }
        Stop::Lost
    }

    /// Takes nothing any more. Each lane stays open until what was handed out of it is answered. Until then this member
    /// is the one that a partition's messages go to, and holds the next one.
    async fn detach(mut self, intake: &RabbitIntake) {
        // Other members need not wait for messages without a key. Where there are none, the queue is being removed, too:
        // RabbitMQ may confirm that twice then, and the connection ends over the second time.
        if intake.has_group() {
            self.share_unkeyed().await;
        }
        join_all(self.lanes.into_iter().map(Consuming::end)).await;
    }

    /// What nobody has in hand goes to the other members at once.
    async fn share_unkeyed(&mut self) {
        let unkeyed = self.lanes.iter().position(|consuming| consuming.lane == Lane::Unkeyed);
        let Some((index, Consuming { reading, answers, .. })) =
            unkeyed.and_then(|index| Some((index, self.lanes.get(index)?)))
        else {
            return;
        };
        if let Err(error) = reading.cancel().await {
            return tracing::debug!(%error, "messages go back when their channel is closed");
        }
        while let Some(Some((from, message))) = self.messages.next().now_or_never() {
            if let (true, Some(Ok(delivery))) = (from == index, message) {
                // If it cannot be told, the broker has it back already.
                let _ = answers.give(Answer::Returned(delivery.delivery_tag));
            }
        }
    }
}

impl Consuming {
    async fn begin(intake: &RabbitIntake, session: &Session, lane: Lane) -> Result<Self, BusError> {
        let prefetch = if lane == Lane::Unkeyed { intake.prefetch } else { 1 };
        let queue = intake.connection.names.queue(&intake.member, lane);
        let channel = session.channel().await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let reading = Reading::begin(channel.clone(), &queue, prefetch, options, arguments).await?;
        let (answers, told) = Answers::of(channel, usize::from(prefetch));
        Ok(Self { lane, reading, answers: Arc::new(answers), told })
    }

    /// The channel is closed after the last answer.
    async fn end(self) {
        let Self { reading, answers, told, .. } = self;
        drop(answers);
        let _ = told.await;
        drop(reading);
    }
}

impl RabbitIntake {
    async fn attach(&self) -> Result<Consumers, BusError> {
        let deadline = Instant::now() + Duration::from_secs(3600);
        let Some(session) = self.connection.link.session(deadline).await else {
            return Err(broker("consume")("there is no connection".into()));
        };
        let (mut lanes, mut messages) = (Vec::new(), Vec::new());
        for (index, lane) in self.connection.names.lanes().enumerate() {
            let consuming = Consuming::begin(self, &session, lane).await?;
            let end = once(ready((index, None)));
            let deliveries = consuming.reading.deliveries().map(move |delivery| (index, Some(delivery)));
            messages.push(deliveries.chain(end).boxed());
            lanes.push(consuming);
        }
        Ok(Consumers { lanes, messages: select_all(messages) })
    }
}
