//! The queues of groups and subscriptions.

use std::time::Duration;

use daa_core::bus::{BusError, GroupName, SubscribeOptions};
use daa_core::digest::Digest;
use lapin::Channel;
use lapin::options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use tokio::time::timeout;

use super::connection::Connection;
use super::link::answered;
use super::names::Names;
use super::options::RabbitOptions;
use super::wire::short;
use crate::bus::{Agreement, Lane, Member};

/// Quorum queues take a moment.
const MADE_WITHIN: Duration = Duration::from_secs(5);
/// Attempts are counted here; the broker's own limit, which would drop the message, is out of reach.
const NO_LIMIT: i64 = 1_000_000_000;
/// A backoff doubles so often at most before it stays the same.
const MAX_STEPS: u32 = 33;

fn text(value: impl AsRef<str>) -> AMQPValue {
    AMQPValue::LongString(value.as_ref().into())
}

fn millis(span: Duration) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

pub(super) fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(short(name), value);
    }
    table
}

fn bounded(options: &RabbitOptions) -> FieldTable {
    let bytes = i64::try_from(options.max_bytes.get()).unwrap_or(i64::MAX);
    table([
        ("x-queue-type", text("quorum")),
        ("x-max-length-bytes", AMQPValue::LongLongInt(bytes)),
        ("x-overflow", text("reject-publish")),
    ])
}

/// What a queue is made as. Members of a group that do not agree ask for different ones, and the broker refuses the
/// second: a dead-letter key carries the terms. Nothing is ever sent to it.
fn arguments(options: &RabbitOptions, lane: Lane, agreement: &Agreement) -> FieldTable {
    let mut arguments = bounded(options);
    let terms = Digest::builder("daa 2026 bus terms").field(agreement.terms().as_bytes()).finish();
    arguments.insert(short("x-dead-letter-exchange"), text(""));
    arguments.insert(short("x-dead-letter-routing-key"), text(format!("daa-terms.{terms}")));
    arguments.insert(short("x-delivery-limit"), AMQPValue::LongLongInt(NO_LIMIT));
    if matches!(lane, Lane::Partition(_)) {
        arguments.insert(short("x-single-active-consumer"), AMQPValue::Boolean(true));
    }
    if agreement.group.is_none() {
        arguments.insert(short("x-expires"), millis(options.idle_limit));
    }
    arguments
}

/// Says how the bus is set up, or learns that it is set up in another way.
pub(super) async fn agree(channel: &Channel, names: &Names) -> Result<(), BusError> {
    let (name, terms) = names.terms();
    let arguments = table([("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text(terms))]);
    let declared = channel.queue_declare(short(&name), QueueDeclareOptions::durable(), arguments);
    answered("agree on its partitions", timeout(MADE_WITHIN, declared).await).map(drop)
}

/// Makes the queues of a member, or joins those that are there.
pub(super) async fn make(
    connection: &Connection,
    member: &Member,
    agreement: &Agreement,
) -> Result<(), BusError> {
    let Connection { names, options, .. } = connection;
    let channel = connection.session().await?.channel().await?;
    for lane in names.lanes() {
        let name = names.queue(member, lane);
        let arguments = arguments(options, lane, agreement);
        let declared = channel.queue_declare(short(&name), QueueDeclareOptions::durable(), arguments);
        match (timeout(MADE_WITHIN, declared).await, &agreement.group) {
            (Ok(Err(error)), Some(group)) if is_soft(&error, &AMQPSoftError::PRECONDITIONFAILED) => {
                return Err(BusError::GroupMismatch { group: group.clone() });
            }
            (declared, _) => answered("make a queue", declared)?,
        };
        bind(&channel, &name, &names.exchange(), &Names::binding(lane, &agreement.pattern)).await?;
    }
    Ok(())
}

pub(super) async fn bind(
    channel: &Channel,
    queue: &str,
    exchange: &str,
    binding: &str,
) -> Result<(), BusError> {
    let (queue, exchange, binding) = (short(queue), short(exchange), short(binding));
    let bound =
        channel.queue_bind(queue, exchange, binding, QueueBindOptions::default(), FieldTable::default());
    answered("bind a queue", timeout(MADE_WITHIN, bound).await)
}

fn is_soft(error: &lapin::Error, kind: &AMQPSoftError) -> bool {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => error.kind() == &AMQPErrorKind::Soft(kind.clone()),
        _ => false,
    }
}

impl Connection {
    /// Whether the broker still knows the queues of a member; `None` when it does not answer.
    pub(super) async fn has_queues(&self, member: &Member) -> Option<bool> {
        let channel = self.session().await.ok()?.channel().await.ok()?;
        let name = self.names.queue(member, Lane::Unkeyed);
        let passive = QueueDeclareOptions::durable().passive();
        let declared = channel.queue_declare(short(&name), passive, FieldTable::default());
        match timeout(MADE_WITHIN, declared).await {
            Ok(Ok(_)) => Some(true),
            // A queue whose node is away is not found either, with other words.
            Ok(Err(error))
                if is_soft(&error, &AMQPSoftError::NOTFOUND) && error.to_string().contains("no queue") =>
            {
                Some(false)
            }
            _ => None,
        }
    }

    pub(super) async fn remove_group(&self, group: &GroupName) -> Result<(), BusError> {
        self.open_or_closed()?;
        let member = Member::group(group);
        if self.has_queues(&member).await == Some(false) {
            return Err(BusError::NoGroup { group: group.clone() });
        }
        self.remove_queues(&member).await
    }

    pub(super) async fn remove_queues(&self, member: &Member) -> Result<(), BusError> {
        let channel = self.session().await?.channel().await?;
        let lanes = self.names.lanes().map(|lane| self.names.queue(member, lane));
        let waiting = (1..=MAX_STEPS).map(|attempt| self.names.waiting(member, attempt));
        for name in waiting.chain(lanes) {
            let deleted = channel.queue_delete(short(&name), QueueDeleteOptions::default());
            answered("remove a group", timeout(MADE_WITHIN, deleted).await)?;
        }
        Ok(())
    }

    /// The queue from which a message comes back after its backoff.
    pub(super) async fn waiting_queue(
        &self,
        member: &Member,
        agreement: &Agreement,
        attempt: u32,
    ) -> Result<String, BusError> {
        let wait = agreement.backoff.after(attempt);
        // Attempts that wait equally long share a queue.
        let step = (1..attempt.min(MAX_STEPS)).find(|step| agreement.backoff.after(*step) == wait);
        let name = self.names.waiting(member, step.unwrap_or(attempt).min(MAX_STEPS));
        let mut arguments = bounded(&self.options);
        arguments.insert(short("x-message-ttl"), millis(wait));
        arguments.insert(short("x-dead-letter-exchange"), text(""));
        let back = self.names.queue(member, Lane::Unkeyed);
        arguments.insert(short("x-dead-letter-routing-key"), text(back));
        // It stays here until it is there.
        arguments.insert(short("x-dead-letter-strategy"), text("at-least-once"));
        let channel = self.session().await?.channel().await?;
        let declared = channel.queue_declare(short(&name), QueueDeclareOptions::durable(), arguments);
        answered("make a queue", timeout(MADE_WITHIN, declared).await)?;
        Ok(name)
    }
}

/// How many messages a subscriber prefetches.
pub(super) fn prefetch(options: &SubscribeOptions) -> u16 {
    u16::try_from(options.max_in_flight().min(options.capacity())).unwrap_or(u16::MAX)
}
