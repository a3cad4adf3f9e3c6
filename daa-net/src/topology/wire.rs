//! The messages of topology as they travel: Protocol Buffers.

use bytes::Bytes;
use prost::{Message as _, Oneof};

use super::peer::Load;
use crate::machine::MessageError;

/// The most bytes of a message.
const MAX_MESSAGE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Asks how far it is; and to be at home there, or to stay.
    Ping { number: u64, home: bool },
    /// How busy it is, how much of its room is taken, and whether who asked is at home there.
    Pong { number: u64, busy: Load, taken: Load, home: bool },
    /// Is not at home there any more.
    Leave,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Ping {
    #[prost(fixed64, tag = "1")]
    number: u64,
    #[prost(bool, tag = "2")]
    home: bool,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Pong {
    #[prost(fixed64, tag = "1")]
    number: u64,
    #[prost(uint32, tag = "2")]
    busy: u32,
    #[prost(uint32, tag = "3")]
    taken: u32,
    #[prost(bool, tag = "4")]
    home: bool,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Leave {}

#[derive(Clone, Copy, PartialEq, Oneof)]
enum Content {
    #[prost(message, tag = "1")]
    Ping(Ping),
    #[prost(message, tag = "2")]
    Pong(Pong),
    #[prost(message, tag = "3")]
    Leave(Leave),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Envelope {
    #[prost(oneof = "Content", tags = "1, 2, 3")]
    content: Option<Content>,
}

impl Message {
    pub(super) fn encode(self) -> Bytes {
        let content = match self {
            Self::Ping { number, home } => Content::Ping(Ping { number, home }),
            Self::Pong { number, busy, taken, home } => {
                let (busy, taken) = (busy.as_per_mille().into(), taken.as_per_mille().into());
                Content::Pong(Pong { number, busy, taken, home })
            }
            Self::Leave => Content::Leave(Leave {}),
        };
        Envelope { content: Some(content) }.encode_to_vec().into()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(MessageError { what: "too long" });
        }
        let envelope = Envelope::decode(bytes).map_err(|_| MessageError { what: "no message" })?;
        Ok(match envelope.content.ok_or(MessageError { what: "of an unknown kind" })? {
            Content::Ping(Ping { number, home }) => Self::Ping { number, home },
            Content::Pong(Pong { number, busy, taken, home }) => {
                Self::Pong { number, busy: load(busy)?, taken: load(taken)?, home }
            }
            Content::Leave(Leave {}) => Self::Leave,
        })
    }
}

fn load(thousandths: u32) -> Result<Load, MessageError> {
    let thousandths = u16::try_from(thousandths).ok().filter(|thousandths| *thousandths <= 1_000);
    thousandths.map(Load::per_mille).ok_or(MessageError { what: "a load of more than everything" })
}
