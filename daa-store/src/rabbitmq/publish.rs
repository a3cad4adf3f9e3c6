//! Publishing with confirmation.

use std::time::Duration;

use daa_core::bus::{BusError, Message};
use daa_core::id::Topic;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation};
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use super::waiting::{Answer, unless_lost};
use super::wire::{properties, short};
use crate::bus::Fields;

/// How long until what was not confirmed is sent again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Where a message goes, and as what.
#[derive(Clone, Debug)]
pub(super) struct Address {
    exchange: ShortString,
    routing_key: ShortString,
}

impl Address {
    pub(super) fn queue(name: String) -> Self {
        Self { exchange: short(""), routing_key: short(name) }
    }
}

/// What the broker confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// In every queue that it belongs in.
    Queued,
    /// There is none.
    Nowhere,
}

impl Connection {
    pub(super) async fn publish(&self, message: &Message) -> Result<Kept, BusError> {
        message.check()?;
        self.open_or_closed()?;
        let (exchange, routing_key) = (short(self.names.exchange()), short(self.names.routing_key(message)));
        let properties = || properties(&Fields::of(message, false), 0);
        self.confirmed(message.topic(), &Address { exchange, routing_key }, message.payload(), properties)
            .await
    }

    /// Sends until the broker confirms.
    pub(super) async fn confirmed(
        &self,
        topic: &Topic,
        to: &Address,
        payload: &[u8],
        properties: impl Fn() -> BasicProperties,
    ) -> Result<Kept, BusError> {
        let limit = self.options.confirm_within;
        let deadline = Instant::now() + limit;
        loop {
            match self.send(deadline, to, payload, properties()).await {
                Some(Ok(Confirmation::Nack(_))) => return Err(BusError::Full { topic: topic.clone() }),
                Some(Ok(Confirmation::Ack(None) | Confirmation::NotRequested)) => return Ok(Kept::Queued),
                Some(Ok(Confirmation::Ack(Some(_)))) => return Ok(Kept::Nowhere),
                Some(Err(error)) => tracing::debug!(%error, "not confirmed"),
                None => return Err(BusError::Unconfirmed { topic: topic.clone(), limit }),
            }
            sleep(TRY_AGAIN_AFTER).await;
        }
    }

    /// `None` when there is no answer by the deadline.
    async fn send(
        &self,
        deadline: Instant,
        to: &Address,
        payload: &[u8],
        properties: BasicProperties,
    ) -> Option<Result<Confirmation, lapin::Error>> {
        let session = self.link.session(deadline).await?;
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (to.exchange.clone(), to.routing_key.clone());
        let confirmed = async {
            session.publishing.basic_publish(exchange, key, mandatory, payload, properties).await?.await
        };
        // What was not confirmed on a lost connection may wait for ever.
        match unless_lost(deadline, || !self.link.is_present(&session), confirmed).await {
            Answer::Came(confirmed) => Some(confirmed),
            Answer::Lost => Some(Err(lapin::ErrorKind::MissingHeartbeatError.into())),
            Answer::Late => None,
        }
    }
}
