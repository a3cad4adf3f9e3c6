//! Saying something to many, and hearing what they say.

use bytes::Bytes;
use rand::random;
use tokio::sync::oneshot;

use super::Node;
use super::control::Command;
use super::error::NodeError;
use super::topics::Subscription;
use crate::gossip::{MessageId, SignedMessage, Topic, Validation, Verdict};

impl Node {
    /// Takes part in a topic: hears what its authors say, and passes it on. With [`Validation::Application`] each message is to be
    /// [validated](Self::validated) before it is passed on. Who listened to the topic on this node before does no more.
    ///
    /// # Errors
    /// [`NodeError::TooManyTopics`], [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// Then this node takes part no longer than until the next message of the topic.
    pub async fn subscribe(&self, topic: Topic, validation: Validation) -> Result<Subscription, NodeError> {
        let (reply, done) = oneshot::channel();
        self.command(Command::Subscribe { topic, validation, reply }).await?;
        Ok(done.await.map_err(|_| NodeError::Closed)??)
    }

    /// Says something on a topic, signed by this node. It need not take part in it.
    ///
    /// # Errors
    /// [`NodeError::Publish`], [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// It may be said all the same.
    pub async fn publish(&self, topic: Topic, payload: Bytes) -> Result<MessageId, NodeError> {
        let shared = &self.inner.shared;
        let (identity, network) = (&shared.identity, &shared.network);
        let message =
            SignedMessage::sign(identity, network, topic, payload, random(), shared.clock.now()).await?;
        let (reply, done) = oneshot::channel();
        self.command(Command::Publish { message, reply }).await?;
        Ok(done.await.map_err(|_| NodeError::Closed)??)
    }

    /// What this node finds of a message that it heard, within a minute.
    ///
    /// # Errors
    /// [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// It may have been told all the same.
    pub async fn validated(&self, id: MessageId, verdict: Verdict) -> Result<(), NodeError> {
        self.command(Command::Validated { id, verdict }).await
    }
}
