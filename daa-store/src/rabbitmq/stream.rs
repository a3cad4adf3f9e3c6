//! Streams: dead letters and history.

use std::time::Duration;

use daa_core::bus::BusError;
use daa_core::id::Topic;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::AMQPValue;
use tokio::time::timeout;

use super::connection::Connection;
use super::link::answered;
use super::options::RabbitOptions;
use super::publish::Address;
use super::queues::table;
use super::reading::Reading;
use super::wire::{fields, offset, properties, short};
use crate::bus::{Fields, broker};

/// A mark that shows where a stream ended when it was written.
const FENCE: &str = "x-daa-fence";
/// How many messages are read ahead.
const READ_AHEAD: u16 = 128;
/// How long one question to the broker may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long reading waits for the next message, which exists, before it writes another fence.
const READ_WITHIN: Duration = Duration::from_millis(500);
/// How many fences are written for one reader.
const MAX_FENCES: usize = 10;

pub(super) async fn make(channel: &Channel, name: &str, options: &RabbitOptions) -> Result<(), BusError> {
    let bytes = i64::try_from(options.max_bytes.get()).unwrap_or(i64::MAX);
    let age = format!("{}s", options.max_age.as_secs());
    let arguments = table([
        ("x-queue-type", AMQPValue::LongString("stream".into())),
        ("x-max-length-bytes", AMQPValue::LongLongInt(bytes)),
        ("x-max-age", AMQPValue::LongString(age.as_str().into())),
    ]);
    let declared = channel.queue_declare(short(name), QueueDeclareOptions::durable(), arguments);
    answered("make a stream", timeout(ANSWER_WITHIN, declared).await).map(drop)
}

/// The messages of a stream, from one place up to where it ended when reading began.
pub(super) struct Reader<'a> {
    connection: &'a Connection,
    stream: String,
    consumer: Option<Reading>,
    fence: String,
    fences: usize,
    from: u64,
}

/// One message of a stream.
pub(super) struct Record {
    pub(super) offset: u64,
    pub(super) fields: Fields,
    pub(super) delivery: Delivery,
}

impl Connection {
    /// Reads a stream from a place on.
    pub(super) async fn read(&self, stream: &str, from: u64) -> Result<Reader<'_>, BusError> {
        let (stream, fence) = (stream.to_owned(), self.unique(""));
        let mut reader = Reader { connection: self, stream, consumer: None, fence, fences: 0, from };
        reader.write_fence().await?;
        // A place behind the end would be waited for.
        reader.consumer = Some(self.consume(&reader.stream, AMQPValue::LongString("last".into())).await?);
        let end = loop {
            if let Next::Fence(end) = reader.next_or_fence().await? {
                break end;
            }
        };
        if from <= end {
            let first = AMQPValue::LongLongInt(i64::try_from(from).unwrap_or(i64::MAX));
            reader.consumer = Some(self.consume(&reader.stream, first).await?);
        }
        Ok(reader)
    }

    async fn consume(&self, stream: &str, from: AMQPValue) -> Result<Reading, BusError> {
        let channel = self.session().await?.channel().await?;
        let arguments = table([("x-stream-offset", from)]);
        Reading::begin(channel, stream, READ_AHEAD, BasicConsumeOptions::default(), arguments).await
    }
}

enum Next {
    Record(Box<Record>),
    /// At this place.
    Fence(u64),
}

impl Reader<'_> {
    pub(super) async fn next(&mut self) -> Result<Option<Record>, BusError> {
        while self.consumer.is_some() {
            match self.next_or_fence().await? {
                Next::Record(record) if record.offset < self.from || record.fields.get(FENCE).is_some() => {}
                Next::Record(record) => return Ok(Some(*record)),
                Next::Fence(_) => break,
            }
        }
        Ok(None)
    }

    /// Nothing behind the fence is read.
    async fn next_or_fence(&mut self) -> Result<Next, BusError> {
        let failed = broker("read a stream");
        let delivery = self.delivery().await?;
        let acknowledged = delivery.acker.ack(BasicAckOptions::default()).await;
        acknowledged.map_err(|error| failed(error.into()))?;
        let offset = offset(&delivery).ok_or_else(|| failed("a message has no place".into()))?;
        let fields = fields(&delivery.properties);
        if fields.get(FENCE) == Some(&*self.fence) {
            self.consumer = None;
            return Ok(Next::Fence(offset));
        }
        Ok(Next::Record(Box::new(Record { offset, fields, delivery })))
    }

    async fn delivery(&mut self) -> Result<Delivery, BusError> {
        let failed = broker("read a stream");
        loop {
            let Some(consumer) = &mut self.consumer else { return Err(failed("it is over".into())) };
            match timeout(READ_WITHIN, consumer.next()).await {
                Ok(Some(delivery)) => return delivery.map_err(|error| failed(error.into())),
                Ok(None) => return Err(failed("the broker ended it".into())),
                // Now and then RabbitMQ tells a new reader of the last messages only when there is another one.
                Err(_) => self.write_fence().await?,
            }
        }
    }

    async fn write_fence(&mut self) -> Result<(), BusError> {
        let failed = broker("read a stream");
        self.fences += 1;
        if self.fences > MAX_FENCES {
            return Err(failed("the broker does not send it".into()));
        }
        let mut mark = Fields::default();
        mark.push(FENCE, self.fence.as_str());
        let topic = Topic::new("_fence").map_err(|error| failed(error.into()))?;
        let to = Address::queue(self.stream.clone());
        self.connection.confirmed(&topic, &to, &[], || properties(&mark, 0)).await.map(drop)
    }
}
