//! What a bus carries.

use std::sync::Arc;

use bytes::Bytes;

use super::error::BusError;
use super::headers::{HeaderError, Headers};
use crate::clock::Timestamp;
use crate::id::{MessageId, OrderingKey, Topic};

/// The largest payload, in bytes: 960 KiB, so that payload and headers fit into the 1 MiB that brokers take by
/// default. Put larger things into an artefact and send its digest.
pub const MAX_PAYLOAD: usize = 960 << 10;

/// A message on a topic. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    topic: Topic,
    payload: Bytes,
    /// Most messages have none, and they are passed around a lot.
    extras: Option<Arc<Extras>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Extras {
    id: Option<MessageId>,
    key: Option<OrderingKey>,
    headers: Headers,
    reply_to: Option<Topic>,
    deadline: Option<Timestamp>,
}

static NO_HEADERS: Headers = Headers::new();

impl Message {
    /// A message with nothing but a payload.
    #[must_use]
    pub fn new(topic: Topic, payload: impl Into<Bytes>) -> Self {
        Self { topic, payload: payload.into(), extras: None }
    }

    fn extras_mut(&mut self) -> &mut Extras {
        Arc::make_mut(self.extras.get_or_insert_default())
    }

    /// Names the message. Published again under the same id, it is the same message: a bus that
    /// [remembers ids](super::Capabilities::deduplicates) drops it, and everywhere else
    /// [`Deduplicated`](super::Deduplicated) does.
    #[must_use]
    pub fn with_id(mut self, id: MessageId) -> Self {
        self.extras_mut().id = Some(id);
        self
    }

    /// Puts the message in order behind all earlier ones of the same key.
    #[must_use]
    pub fn with_key(mut self, key: OrderingKey) -> Self {
        self.extras_mut().key = Some(key);
        self
    }

    /// Sets a header.
    ///
    /// # Errors
    /// As [`Headers::insert`].
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, HeaderError> {
        self.extras_mut().headers.insert(name, value)?;
        Ok(self)
    }

    /// Sets all headers.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        if !headers.is_empty() || self.extras.is_some() {
            self.extras_mut().headers = headers;
        }
        self
    }

    /// Sets where a reply is expected. [`EventBus::request`](super::EventBus::request) does.
    #[must_use]
    pub fn with_reply_to(mut self, topic: Topic) -> Self {
        self.extras_mut().reply_to = Some(topic);
        self
    }

    /// Sets until when anybody is interested in it: later it is dropped rather than delivered. Between machines the
    /// clocks of the publisher and the consumer decide.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Timestamp) -> Self {
        self.extras_mut().deadline = Some(deadline);
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

    /// Its name, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&MessageId> {
        self.extras.as_ref()?.id.as_ref()
    }

    /// What it is in order with, if it is.
    #[must_use]
    pub fn key(&self) -> Option<&OrderingKey> {
        self.extras.as_ref()?.key.as_ref()
    }

    /// Its headers. As untrusted as the payload.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        self.extras.as_ref().map_or(&NO_HEADERS, |extras| &extras.headers)
    }

    /// Where a reply is expected, if it is.
    #[must_use]
    pub fn reply_to(&self) -> Option<&Topic> {
        self.extras.as_ref()?.reply_to.as_ref()
    }

    /// Until when it is of interest, if not for ever.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.extras.as_ref()?.deadline
    }

    /// Whether nobody is interested in it any more.
    #[must_use]
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        self.deadline().is_some_and(|deadline| deadline < now)
    }

    /// For those who implement a bus: checks what every bus must refuse.
    ///
    /// # Errors
    /// [`BusError::TooLarge`] beyond [`MAX_PAYLOAD`], [`BusError::EmptyTopicPart`] for a topic such as `a..b`.
    pub fn check(&self) -> Result<(), BusError> {
        if self.payload.len() > MAX_PAYLOAD {
            return Err(BusError::TooLarge { topic: self.topic.clone(), len: self.payload.len() });
        }
        for topic in [Some(&self.topic), self.reply_to()].into_iter().flatten() {
            if topic.as_str().split('.').any(str::is_empty) {
                return Err(BusError::EmptyTopicPart { topic: topic.clone() });
            }
        }
        Ok(())
    }
}
