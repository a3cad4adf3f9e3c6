//! What message an event becomes.

use std::error::Error as StdError;
use std::fmt;

use crate::bus::{HeaderError, Message};
use crate::event::RecordedEvent;
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{IdError, Topic};

/// Makes messages of events.
///
/// # Contract
///
/// It must give the same answer for the same event each time: an event is mapped again when its batch is repeated. It
/// gives topic and payload, headers if it likes, and a key where the stream is not the right one. The relay sets the id
/// and the headers of [`Relayed`](super::Relayed), whatever the mapping set there.
pub trait Mapping: Send + Sync + fmt::Debug {
    /// The message of an event, or `None` where it is to be left out.
    ///
    /// # Errors
    /// [`MappingError`] makes the event poison; see [`RelayOptions::with_on_poison`](super::RelayOptions::with_on_poison).
    fn map(&self, event: &RecordedEvent) -> Result<Option<Message>, MappingError>;
}

/// Why an event has no message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// What would be its topic is none.
    #[error("its topic would not be one")]
    Topic(#[from] IdError),
    /// A header would not be one.
    #[error("a header would not be one")]
    Header(#[from] HeaderError),
    /// Its content is not what the mapping expects.
    #[error("its content cannot be mapped")]
    Content {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl MappingError {
    /// The content is not what the mapping expects.
    pub fn content(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Content { source: source.into() }
    }
}

impl Reaction for MappingError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// Every event, under the topic `PREFIX.CATEGORY.KIND`, where the category is the name of its stream up to the first
/// `/`. An event `order.placed.v1` of stream `order/17` comes on `event.order.order.placed.v1`. So there are as many
/// topics as kinds, however many streams there are; a stream is a key.
#[derive(Clone, Debug)]
pub struct ByCategory {
    prefix: Topic,
}

impl ByCategory {
    /// Topics that begin with this.
    #[must_use]
    pub const fn new(prefix: Topic) -> Self {
        Self { prefix }
    }
}

impl Default for ByCategory {
    /// Topics that begin with `event`.
    #[expect(clippy::expect_used, reason = "a constant of the id alphabet")]
    fn default() -> Self {
        Self::new(Topic::new("event").expect("a constant topic is an id"))
    }
}

impl Mapping for ByCategory {
    fn map(&self, event: &RecordedEvent) -> Result<Option<Message>, MappingError> {
        let stream = event.stream.as_str();
        let category = stream.split_once('/').map_or(stream, |(category, _)| category);
        let topic = Topic::new(format!("{}.{category}.{}", self.prefix, event.kind))?;
        Ok(Some(Message::new(topic, event.payload.clone())))
    }
}
