//! What a bus carries.

use bytes::Bytes;

use super::error::BusError;
use crate::id::Topic;

/// The largest payload, in bytes (1 MiB). Put larger things into an artefact and send its digest.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// A message on a topic. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    topic: Topic,
    payload: Bytes,
    reply_to: Option<Topic>,
}

impl Message {
    /// A message that asks for no reply.
    #[must_use]
    pub fn new(topic: Topic, payload: impl Into<Bytes>) -> Self {
        Self { topic, payload: payload.into(), reply_to: None }
    }

    /// Sets where a reply is expected. [`EventBus::request`](super::EventBus::request) does.
    #[must_use]
    pub fn with_reply_to(mut self, topic: Topic) -> Self {
        self.reply_to = Some(topic);
        self
    }

    /// What it is about.
    #[must_use]
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Its content. It comes from whoever may publish on the bus: verify before use.
    #[must_use]
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Where a reply is expected, if it is.
    #[must_use]
    pub const fn reply_to(&self) -> Option<&Topic> {
        self.reply_to.as_ref()
    }

    /// For those who implement a bus: checks what every bus must refuse.
    ///
    /// # Errors
    /// [`BusError::TooLarge`] beyond [`MAX_PAYLOAD`], [`BusError::EmptyTopicPart`] for a topic such as `a..b`.
    pub fn check(&self) -> Result<(), BusError> {
        if self.payload.len() > MAX_PAYLOAD {
            return Err(BusError::TooLarge { topic: self.topic.clone(), len: self.payload.len() });
        }
        for topic in [Some(&self.topic), self.reply_to.as_ref()].into_iter().flatten() {
            if topic.as_str().split('.').any(str::is_empty) {
                return Err(BusError::EmptyTopicPart { topic: topic.clone() });
            }
        }
        Ok(())
    }
}
