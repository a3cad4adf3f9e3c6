//! The event bus on RabbitMQ 3.10 and later, without plugins.
//!
//! - Messages go to the topic exchange `NAME`, with the routing key `LANE.TOPIC`. The lane `u` is for messages without a
//!   key. A key belongs to one of the lanes `k0`, `k1`, …: the *partitions*.
//! - A group has a quorum queue for each lane: on the disks of a majority when it is confirmed, on one node as in a
//!   cluster. Those of the partitions have a single active consumer, which works on one message at a time: that keeps the
//!   order of each key through refusals, crashes and changing members. RabbitMQ chooses the member that subscribed first;
//!   the others stand by for the partitions, and share the messages without a key. A subscription of its own is a group
//!   that nobody else knows, and that RabbitMQ removes when its subscriber has been away for
//!   [some time](RabbitOptions::with_idle_limit).
//! - Each queue that a subscriber takes from has a channel of its own. One of a partition is closed, rather than its consumer
//!   cancelled, when the last message in the hands of a member that left is answered: the broker then takes back what else
//!   it had sent before the next member gets anything. Each member that leaves costs such a message an attempt.
//! - Each publication is mandatory, waits for the broker's confirmation, and is sent again when none comes. RabbitMQ does
//!   not remember ids: a message may come twice then, under its id, and
//!   [`Deduplicated`](daa_core::bus::Deduplicated) drops the second one.
//! - Answers do not wait for the network: a task of each channel sends them in order, and acknowledges many messages at
//!   once where nothing before them is open. RabbitMQ does not confirm answers; what does not reach it comes again.
//! - A refused message of a group, when it has no key, waits in a queue whose messages live as long as the backoff and
//!   lead back from there. Those with a key, and those of subscriptions without a group, wait in the hands of their
//!   process, and count against what it prefetches. RabbitMQ counts the returns, so that a message that kills its
//!   consumers becomes a dead letter. A message that waited in the process next to such a one counts an attempt, too:
//!   [`with_max_in_flight`](daa_core::bus::SubscribeOptions::with_max_in_flight) bounds how many do.
//! - Dead letters, and [the history](RabbitOptions::with_history) if it is asked for, are in streams, which give up their
//!   oldest messages when they are full. RabbitMQ does not call `fsync` for streams. A dead letter that was driven again
//!   is marked in its stream; lists read the stream for the marks.
//! - When a queue is full, publishers get [`BusError::Full`]. Other queues may have the
//!   message then; sent again under its id, it is the same one.

mod answers;
mod connection;
mod dead_letters;
mod link;
mod names;
mod options;
mod publish;
mod pump;
mod queues;
mod reading;
mod replay;
mod request;
mod stream;
mod subscriber;
mod waiting;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::bus::{
    BusError, BusHealth, BusPosition, Capabilities, DeadLetter, DeadLetterId, EventBus, GroupName,
    HistoryPage, Message, Published, SubscribeOptions, Subscriber, TopicPattern,
};
use daa_core::clock::Clock;

use self::connection::Connection;
pub use self::options::{RabbitOptions, RabbitOptionsError};

/// An [`EventBus`] on RabbitMQ; see the [module](self). Clones share one connection, which is made anew by itself.
#[derive(Clone)]
pub struct RabbitBus {
    connection: Arc<Connection>,
}

impl RabbitBus {
    /// Connects, and makes the exchange and the streams of the bus where they do not exist. The clock tells deadlines.
    ///
    /// # Errors
    /// [`BusError::Broker`] when the broker cannot be reached, does not let us in, or has something else under the names
    /// of the bus.
    pub async fn connect(options: RabbitOptions, clock: Arc<dyn Clock>) -> Result<Self, BusError> {
        Ok(Self { connection: Arc::new(Connection::open(options, clock).await?) })
    }
}

impl fmt::Debug for RabbitBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitBus").field("options", &self.connection.options).finish_non_exhaustive()
    }
}

#[async_trait]
impl EventBus for RabbitBus {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().with_durable(true).with_history(self.connection.options.history)
    }

    async fn publish(&self, message: Message) -> Result<Published, BusError> {
        self.connection.publish(&message).await?;
        Ok(Published::default())
    }

    async fn subscribe(&self, options: SubscribeOptions) -> Result<Box<dyn Subscriber>, BusError> {
        Ok(Box::new(subscriber::subscribe(&self.connection, &options).await?))
    }

    async fn remove_group(&self, group: &GroupName) -> Result<(), BusError> {
        self.connection.remove_group(group).await
    }

    async fn request(&self, request: Message, limit: Duration) -> Result<Message, BusError> {
        self.connection.request(request, limit).await
    }

    async fn reply(&self, request: &Message, payload: Bytes) -> Result<(), BusError> {
        self.connection.reply(request, payload).await
    }

    async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, BusError> {
        self.connection.dead_letters(after, limit).await
    }

    async fn redrive(&self, id: DeadLetterId) -> Result<(), BusError> {
        self.connection.redrive(id).await
    }

    async fn replay(
        &self,
        pattern: &TopicPattern,
        after: Option<BusPosition>,
        limit: usize,
    ) -> Result<HistoryPage, BusError> {
        self.connection.replay(pattern, after, limit).await
    }

    async fn health(&self) -> BusHealth {
        self.connection.health().await
    }

    async fn close(&self) -> Result<(), BusError> {
        self.connection.close();
        Ok(())
    }
}
