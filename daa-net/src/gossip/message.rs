//! Messages that their authors have signed.

use std::fmt;

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_crypto::{Context, CryptoSuite, SignError, VerifyingKey};
use data_encoding::HEXLOWER;
use prost::Message;

use super::topic::Topic;
use crate::fault::fault_of;
use crate::identity::NodeIdentity;
use crate::network::NetworkName;
use crate::node_id::NodeId;

/// What there is around a payload, at most: names, a signature.
pub(super) const OVERHEAD: usize = 8 << 10;
/// The most bytes of a payload that any node takes.
pub const MAX_PAYLOAD: usize = 1 << 20;

const GOSSIP: Context = Context::new("daa-net gossip message v1");

/// A message: the hash of what was signed. Signing it again makes no other message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; 32]);

impl MessageId {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// What its author said, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicMessage {
    /// What it is about.
    pub topic: Topic,
    /// Who says it.
    pub author: NodeId,
    /// When, by the author's clock: it is passed on for so long only.
    pub issued: Timestamp,
    /// Tells messages of one author and moment apart.
    pub number: u64,
    /// What it says.
    pub payload: Bytes,
}

/// A message that its author has signed. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedMessage {
    message: TopicMessage,
    id: MessageId,
    body: Bytes,
    signature: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Signed {
    #[prost(bytes = "bytes", tag = "1")]
    body: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    signature: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(string, tag = "1")]
    network: String,
    #[prost(string, tag = "2")]
    topic: String,
    #[prost(bytes = "bytes", tag = "3")]
    author: Bytes,
    #[prost(uint64, tag = "4")]
    issued: u64,
    #[prost(uint64, tag = "5")]
    number: u64,
    #[prost(bytes = "bytes", tag = "6")]
    payload: Bytes,
}

impl SignedMessage {
    /// Signs a message, for one network.
    ///
    /// # Errors
    /// [`PublishError::Size`] when the payload is larger than [`MAX_PAYLOAD`], [`PublishError::Sign`] when the signer fails.
    ///
    /// # Cancel safety
    /// To drop the future is to want no message.
    pub async fn sign(
        identity: &NodeIdentity,
        network: &NetworkName,
        topic: Topic,
        payload: Bytes,
        number: u64,
        now: Timestamp,
    ) -> Result<Self, PublishError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(PublishError::Size { len: payload.len(), max: MAX_PAYLOAD });
        }
        let message = TopicMessage { topic, author: identity.node(), issued: now, number, payload };
        let body = Body {
            network: network.to_string(),
            topic: message.topic.to_string(),
            author: Bytes::copy_from_slice(message.author.as_bytes()),
            issued: now.as_millis(),
            number,
            payload: message.payload.clone(),
        };
        let body = Bytes::from(body.encode_to_vec());
        let signature = identity.signer().sign(GOSSIP, &body).await.map_err(PublishError::Sign)?;
        Ok(Self { message, id: id(&body), body, signature: signature.encode().into() })
    }

    /// What was signed.
    #[must_use]
    pub const fn message(&self) -> &TopicMessage {
        &self.message
    }

    /// Which message it is.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.id
    }

    pub(super) fn encode(&self) -> Bytes {
        Signed { body: self.body.clone(), signature: self.signature.clone() }.encode_to_vec().into()
    }

    /// Reads what nobody has verified yet; nothing where it is no message of this network.
    pub(super) fn read(bytes: Bytes, network: &NetworkName, max_payload: usize) -> Option<Self> {
        if bytes.len() > max_payload + OVERHEAD {
            return None;
        }
        let Signed { body, signature } = Signed::decode(bytes).ok()?;
        let read = Body::decode(body.clone()).ok()?;
        if read.network != network.as_str() || read.payload.len() > max_payload {
            return None;
        }
        let message = TopicMessage {
            topic: read.topic.parse().ok()?,
            author: NodeId::from_bytes((&*read.author).try_into().ok()?),
            issued: Timestamp::from_millis(read.issued),
            number: read.number,
            payload: read.payload,
        };
        Some(Self { message, id: id(&body), body, signature })
    }

    /// Whether the author has signed it.
    pub(super) fn is_signed(&self, suite: &CryptoSuite, key: &VerifyingKey) -> bool {
        NodeId::of(key) == self.message.author
            && suite
                .decode_signature(&self.signature)
                .is_ok_and(|signature| suite.verify(key, GOSSIP, &self.body, &signature).is_ok())
    }

    #[cfg(test)]
    pub(super) fn with_signature_of(&self, other: &Self) -> Self {
        Self { signature: other.signature.clone(), ..self.clone() }
    }

    /// About what it takes in memory.
    pub(super) fn size(&self) -> usize {
        self.body.len() + self.signature.len()
    }
}

fn id(body: &[u8]) -> MessageId {
    MessageId(*blake3::hash(body).as_bytes())
}

/// A message that cannot be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// It is too large.
    #[error("a message has at most {max} bytes, not {len}")]
    Size {
        /// Its length in bytes.
        len: usize,
        /// How long it may be.
        max: usize,
    },
    /// Whoever holds the key does not sign.
    #[error("the message could not be signed")]
    Sign(#[source] SignError),
    /// It is of another node, too old, or of later than now.
    #[error("only new messages of this node are published")]
    NotOurs,
    /// It was published already.
    #[error("the message was published before")]
    Again,
    /// This node has published as much as is remembered of one author.
    #[error("this node has published as much as is remembered of one author")]
    TooMuch,
}

impl Reaction for PublishError {
    fn fault(&self) -> Fault {
        match self {
            Self::Size { .. } | Self::NotOurs | Self::Again | Self::TooMuch => Fault::Caller,
            Self::Sign(error) => fault_of(error),
        }
    }

    fn retry(&self) -> Retry {
        let is_passing = matches!(self, Self::TooMuch) || self.fault() == Fault::Environment;
        if is_passing { Retry::Later } else { Retry::Never }
    }
}
