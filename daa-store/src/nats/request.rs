//! Requests and replies.

use std::time::Duration;

use bytes::Bytes;
use daa_core::bus::{BusError, Message};
use daa_core::id::Topic;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::connection::Connection;
use crate::bus::broker;

impl Connection {
    pub(super) async fn request(&self, request: Message, limit: Duration) -> Result<Message, BusError> {
        self.open_or_closed()?;
        let inbox = Topic::new(self.unique("_inbox."));
        let inbox = inbox.map_err(|error| broker("make an inbox")(error.into()))?;
        let subscribed = self.client.subscribe(self.names.inbox(&inbox)).await;
        let mut replies = subscribed.map_err(|error| broker("make an inbox")(error.into()))?;
        let topic = request.topic().clone();
        let deadline = self.clock.now() + limit;
        let asked = async {
            let _ = self.publish(request.with_reply_to(inbox.clone()).with_deadline(deadline)).await?;
            replies.next().await.ok_or(BusError::Closed)
        };
        match timeout(limit, asked).await {
            Ok(reply) => Ok(Message::new(inbox, reply?.payload)),
            Err(_) => Err(BusError::NoReply { topic, limit }),
        }
    }

    pub(super) async fn reply(&self, request: &Message, payload: Bytes) -> Result<(), BusError> {
        self.open_or_closed()?;
        let topic =
            request.reply_to().ok_or_else(|| BusError::NotARequest { topic: request.topic().clone() })?;
        Message::new(topic.clone(), payload.clone()).check()?;
        let sent = self.client.publish(self.names.inbox(topic), payload).await;
        sent.map_err(|error| broker("reply")(error.into()))
    }
}
