//! What a relayed message says about its event.

use std::str::FromStr;

use super::error::NotRelayed;
use crate::bus::{HeaderError, Headers, Message};
use crate::clock::Timestamp;
use crate::event::{Position, RecordedEvent, Version};
use crate::id::{EventKind, MessageId, OrderingKey, RelayName, StreamId};

const SOURCE: &str = "event-source";
const POSITION: &str = "event-position";
const STREAM: &str = "event-stream";
const VERSION: &str = "event-version";
const KIND: &str = "event-kind";
const AT: &str = "event-at";

/// What a message of a relay says about its event, in its headers. As trustworthy as whoever may publish on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Relayed {
    /// The relay.
    pub source: RelayName,
    /// The place of the event in the order of its store.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: Version,
    /// Its kind.
    pub kind: EventKind,
    /// When its writer says it happened.
    pub at: Timestamp,
}

impl Relayed {
    /// Reads the headers of a message.
    ///
    /// # Errors
    /// [`NotRelayed`] where one is missing, or is not what a relay writes.
    pub fn of(message: &Message) -> Result<Self, NotRelayed> {
        let headers = message.headers();
        Ok(Self {
            source: parsed(headers, SOURCE)?,
            position: Position::new(parsed(headers, POSITION)?),
            stream: parsed(headers, STREAM)?,
            version: Version::new(parsed(headers, VERSION)?),
            kind: parsed(headers, KIND)?,
            at: Timestamp::from_millis(parsed(headers, AT)?),
        })
    }

    pub(super) fn new(source: &RelayName, event: &RecordedEvent) -> Self {
        let RecordedEvent { position, stream, version, kind, at, .. } = event.clone();
        Self { source: source.clone(), position, stream, version, kind, at }
    }

    /// The message with its id, its key and its headers.
    pub(super) fn put_on(&self, message: Message) -> Result<Message, HeaderError> {
        let mut headers = message.headers().clone();
        for (name, value) in [
            (SOURCE, self.source.as_str()),
            (POSITION, &self.position.to_string()),
            (STREAM, self.stream.as_str()),
            (VERSION, &self.version.to_string()),
            (KIND, self.kind.as_str()),
            (AT, &self.at.as_millis().to_string()),
        ] {
            headers.insert(name, value)?;
        }
        let message = match message.key() {
            None => message.with_key(self.key()),
            Some(_) => message,
        };
        Ok(message.with_id(self.message_id()).with_headers(headers))
    }

    /// The key of a message whose mapping gave none. Both are ids of one alphabet and one length.
    #[expect(clippy::expect_used, reason = "an id of one kind is an id of every kind")]
    pub(crate) fn key(&self) -> OrderingKey {
        OrderingKey::new(&self.stream).expect("a stream is an id")
    }

    #[expect(clippy::expect_used, reason = "Relay::new has checked that there is room behind its name")]
    fn message_id(&self) -> MessageId {
        MessageId::new(format!("{}:{}", self.source, self.position)).expect("a name and a number are an id")
    }
}

fn parsed<T: FromStr>(headers: &Headers, header: &'static str) -> Result<T, NotRelayed> {
    let value = headers.get(header).ok_or(NotRelayed::Missing { header })?;
    value.parse().map_err(|_| NotRelayed::Malformed { header, value: value.to_owned() })
}
