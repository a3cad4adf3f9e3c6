//! A consumer with a channel of its own.

use std::time::Duration;

use daa_core::bus::BusError;
use futures_util::stream::{self, Stream, StreamExt as _};
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::link::answered;
use super::wire::short;

/// How long one question to the broker may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// What a channel is closed with when nothing is wrong.
const DONE: u16 = 200;

/// Takes messages until it is dropped, and closes the channel with the consumer on it.
///
/// A consumer that is cancelled right before its channel is closed may be confirmed right after: by then the number of the
/// channel may be that of another one, and the connection ends over an answer to nothing.
pub(super) struct Reading {
    channel: Channel,
    consumer: Option<Consumer>,
    runtime: Handle,
}

impl Reading {
    pub(super) async fn begin(
        channel: Channel,
        queue: &str,
        ahead: u16,
        options: BasicConsumeOptions,
        arguments: FieldTable,
    ) -> Result<Self, BusError> {
        let what = "read a queue";
        let qos = channel.basic_qos(ahead, BasicQosOptions::default());
        answered(what, timeout(ANSWER_WITHIN, qos).await)?;
        let consumed = channel.basic_consume(short(queue), short(""), options, arguments);
        let consumer = Some(answered(what, timeout(ANSWER_WITHIN, consumed).await)?);
        Ok(Self { channel, consumer, runtime: Handle::current() })
    }

    /// The messages, which come as long as this lives.
    pub(super) fn deliveries(&self) -> impl Stream<Item = Result<Delivery, lapin::Error>> + Send + use<> {
        stream::iter(self.consumer.clone()).flatten()
    }

    /// No more messages come; those that came can still be answered. Whoever consumes besides gets what comes next, also
    /// where this one has not answered.
    pub(super) async fn cancel(&self) -> Result<(), BusError> {
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let cancelled = self.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
        answered("stop reading a queue", timeout(ANSWER_WITHIN, cancelled).await)
    }

    /// `None` when the broker has ended it.
    pub(super) async fn next(&mut self) -> Option<Result<Delivery, lapin::Error>> {
        self.consumer.as_mut()?.next().await
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let (channel, consumer) = (self.channel.clone(), self.consumer.take());
        self.runtime.spawn(async move {
            let _ = timeout(ANSWER_WITHIN, channel.close(DONE, short(""))).await;
            drop(consumer);
        });
    }
}
