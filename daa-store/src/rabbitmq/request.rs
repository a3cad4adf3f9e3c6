//! Requests and replies.

use std::time::Duration;

use bytes::Bytes;
use daa_core::bus::{BusError, Message};
use daa_core::id::Topic;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use tokio::time::timeout;

use super::connection::Connection;
use super::link::{ANSWER_WITHIN, answered};
use super::publish::{Address, Kept};
use super::reading::Reading;
use super::wire::{payload, properties, short};
use crate::bus::{Fields, broker};

impl Connection {
    /// The inbox is a queue that lives as long as its consumer.
    pub(super) async fn request(&self, request: Message, limit: Duration) -> Result<Message, BusError> {
        self.open_or_closed()?;
        let what = "make an inbox";
        let inbox = Topic::new(self.unique("_inbox."));
        let inbox = inbox.map_err(|error| broker(what)(error.into()))?;
        let (topic, deadline) = (request.topic().clone(), self.clock.now() + limit);
        let asked = async {
            let channel = self.session().await?.channel().await?;
            let name = short(self.names.inbox(&inbox));
            let own = QueueDeclareOptions::exclusive().auto_delete();
            let declared = channel.queue_declare(name.clone(), own, FieldTable::default());
            answered(what, timeout(ANSWER_WITHIN, declared).await)?;
            let no_answer = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
            let mut replies =
                Reading::begin(channel, name.as_str(), 1, no_answer, FieldTable::default()).await?;
            let request = request.with_reply_to(inbox.clone()).with_deadline(deadline);
            if self.publish(&request).await? == Kept::Nowhere {
                return Err(BusError::NoResponder { topic: topic.clone() });
            }
            match replies.next().await {
                Some(reply) => reply.map_err(|error| broker("wait for a reply")(error.into())),
                None => Err(broker("wait for a reply")("the connection was lost".into())),
            }
        };
        match timeout(limit, asked).await {
            Ok(reply) => Ok(Message::new(inbox.clone(), payload(&mut reply?))),
            Err(_) => Err(BusError::NoReply { topic, limit }),
        }
    }

    pub(super) async fn reply(&self, request: &Message, payload: Bytes) -> Result<(), BusError> {
        self.open_or_closed()?;
        let topic =
            request.reply_to().ok_or_else(|| BusError::NotARequest { topic: request.topic().clone() })?;
        Message::new(topic.clone(), payload.clone()).check()?;
        let to = Address::queue(self.names.inbox(topic));
        self.confirmed(topic, &to, &payload, || properties(&Fields::default(), 0)).await?;
        Ok(())
    }
}
