//! The event bus on NATS JetStream.
//!
//! - Messages are in one stream, `NAME`, with the subjects `NAME.m.LANE.TOPIC`. The lane `u` is for messages without a
//!   key. A key belongs to one of the lanes `k0`, `k1`, …: the *partitions*.
//! - A group is one durable pull consumer for each lane. Those of the partitions let one message at a time be worked on
//!   (`max_ack_pending` is 1): that keeps the order of each key through refusals, crashes and changing members, and any
//!   member may take the next message. More [partitions](NatsOptions::with_partitions) work on more keys at once. A
//!   subscription of its own is a group that nobody else knows, and that the server removes when its subscriber has been
//!   away for [some time](NatsOptions::with_idle_limit).
//! - Each publication waits for the server's confirmation, and is sent again under the same `Nats-Msg-Id` when none
//!   comes: within the [window](NatsOptions::with_duplicate_window) the server keeps one of them.
//! - What a consumer refuses is redelivered by the server after its backoff. What a consumer holds, the server is told
//!   of every now and then; what a consumer that died held comes again after a few seconds. The server counts the
//!   attempts, so that a message that kills its consumers becomes a dead letter. A message that waited in the process
//!   next to such a one counts an attempt, too:
//!   [`with_max_in_flight`](daa_core::bus::SubscribeOptions::with_max_in_flight) bounds how many do.
//! - Dead letters are in a second stream, `NAME-dead`, which gives up its oldest ones when it is full. Replies go to the
//!   asker through core NATS, and are not kept.
//! - When the stream is full, publishers get [`BusError::Full`]: nothing that consumers
//!   have not seen is given up for it. What is older than [`with_max_age`](NatsOptions::with_max_age) is, though.
//!
//! JetStream confirms a message before it is on the disk: by default a server calls `fsync` every two minutes. A message
//! survives when the server's process is killed, but not a power failure of all its replicas. Where that matters, the
//! server's `sync_interval: always` helps, with three [replicas](NatsOptions::with_replicas); and what must not be lost
//! is in the [event store](daa_core::event::EventStore) first.

mod connection;
mod consumers;
mod dead_letters;
mod lane;
mod names;
mod options;
mod progress;
mod publish;
mod replay;
mod request;
mod subscriber;

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
pub use self::options::{NatsOptions, NatsOptionsError};

/// An [`EventBus`] on NATS JetStream; see the [module](self). Clones share one connection, which is made anew by itself.
#[derive(Clone)]
pub struct NatsBus {
    connection: Arc<Connection>,
}

impl NatsBus {
    /// Connects, and makes the streams of the bus where they do not exist. The clock tells deadlines.
    ///
    /// # Errors
    /// [`BusError::Broker`] when the server cannot be reached, does not let us in, has no JetStream, or has a bus of
    /// this name with another number of partitions.
    pub async fn connect(options: NatsOptions, clock: Arc<dyn Clock>) -> Result<Self, BusError> {
        Ok(Self { connection: Arc::new(Connection::open(options, clock).await?) })
    }
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBus").field("options", &self.connection.options).finish_non_exhaustive()
    }
}

#[async_trait]
impl EventBus for NatsBus {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().with_durable(true).with_deduplicates(true).with_history(true)
    }

    async fn publish(&self, message: Message) -> Result<Published, BusError> {
        self.connection.publish(message).await
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
        self.connection.close().await
    }
}
