//! Publishing with confirmation.

use std::time::Duration;

use daa_core::bus::{BusError, Message};
use daa_core::id::Topic;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Confirmation};
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::Connection;
use super::wire::{properties, short};
use crate::bus::Fields;

/// How long until what was not confirmed is sent again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Where a message goes, and as what.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) exchange: String,
    pub(super) routing_key: String,
}

impl Address {
    pub(super) const fn queue(name: String) -> Self {
        Self { exchange: String::new(), routing_key: name }
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
        let address =
            Address { exchange: self.names.exchange(), routing_key: self.names.routing_key(message) };
        let properties = properties(&Fields::of(message, true), 0);
        self.confirmed(message.topic(), &address, message.payload(), properties).await
    }

    /// Sends until the broker confirms.
    pub(super) async fn confirmed(
        &self,
        topic: &Topic,
        to: &Address,
        payload: &[u8],
        properties: BasicProperties,
    ) -> Result<Kept, BusError> {
        let limit = self.options.confirm_within;
        let deadline = Instant::now() + limit;
        loop {
            let sent = timeout_at(deadline, self.send(deadline, to, payload, properties.clone())).await;
            match sent {
                Ok(Some(Ok(Confirmation::Nack(_)))) => return Err(BusError::Full { topic: topic.clone() }),
                Ok(Some(Ok(Confirmation::Ack(None) | Confirmation::NotRequested))) => {
                    return Ok(Kept::Queued);
                }
                Ok(Some(Ok(Confirmation::Ack(Some(_))))) => return Ok(Kept::Nowhere),
                Ok(Some(Err(error))) => tracing::debug!(%error, "not confirmed"),
                Ok(None) | Err(_) => return Err(BusError::Unconfirmed { topic: topic.clone(), limit }),
            }
            sleep(TRY_AGAIN_AFTER).await;
        }
    }

    /// `None` when there is no connection in time.
    async fn send(
        &self,
        deadline: Instant,
        to: &Address,
        payload: &[u8],
        properties: BasicProperties,
    ) -> Option<Result<Confirmation, lapin::Error>> {
        let session = self.link.session(deadline).await?;
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (short(&to.exchange), short(&to.routing_key));
        let confirmed = async {
            session.publishing.basic_publish(exchange, key, mandatory, payload, properties).await?.await
        };
        Some(tokio::select! {
            biased;
            confirmed = confirmed => confirmed,
            // What was not confirmed on a lost connection may wait for ever.
            () = self.link.lost(&session) => Err(lapin::ErrorKind::MissingHeartbeatError.into()),
        })
    }
}
