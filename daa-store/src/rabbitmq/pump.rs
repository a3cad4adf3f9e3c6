//! Takes the messages of the queues of a member from the broker.

use std::sync::Arc;
use std::time::Duration;

use daa_core::bus::BusError;
use futures_util::stream::{BoxStream, SelectAll, select_all};
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::answers::{Answer, Answers};
use super::link::{ANSWER_WITHIN, answered};
use super::reading::DONE;
use super::subscriber::RabbitIntake;
use super::wire::short;
use crate::bus::{End, Feed, Lane};

/// How long until a broker that is not ready is asked again.
const NOT_READY: Duration = Duration::from_millis(50);

/// Consumes from one session after the other.
pub(super) struct Pump {
    pub(super) feed: Feed<RabbitIntake>,
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
                    let lost = tokio::select! {
                        biased;
                        () = self.feed.stopped() => false,
                        () = async { drop(closed.wait_for(|closed| *closed).await) } => false,
                        () = consumers.pump(&feed) => true,
                    };
                    if !lost {
                        self.feed.end(End::Closed);
                        return consumers.detach().await;
                    }
                    consumers.close().await;
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
    /// Runs until a consumer is lost.
    async fn pump(&mut self, feed: &Feed<RabbitIntake>) {
        while let Some((lane, Some(Ok(delivery)))) = self.messages.next().await {
            if let Some(arrival) = feed.intake.admit(lane, delivery, &self.answers).await
                && feed.send(arrival).await.is_none()
            {
                return;
            }
        }
    }

    /// After a consumer was lost. The others are not cancelled: where their queues are being removed too, RabbitMQ may
    /// confirm that twice, and the connection ends over the second time.
    async fn close(self) {
        let _ = timeout(ANSWER_WITHIN, self.channel.close(DONE, short(""))).await;
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

impl RabbitIntake {
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
            let queue = short(self.connection.names.queue(&self.member, lane));
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
}
