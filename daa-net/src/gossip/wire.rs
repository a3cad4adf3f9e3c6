//! Frames between peers: Protocol Buffers. Ids are packed, so that decoding makes nothing larger.

use bytes::Bytes;
use prost::Message;

use super::message::{MessageId, OVERHEAD};
use super::topic::Topic;
use crate::machine::MessageError;
use crate::node_id::NodeId;

/// The most messages in a frame.
pub(super) const MAX_MESSAGES: usize = 64;
/// The most topics of a peer.
pub(super) const MAX_TOPICS: usize = 64;
/// The most ids that are shown, or asked for, at once.
pub(super) const MAX_IDS: usize = 512;
/// The most keys that are asked for, or given, at once.
pub(super) const MAX_KEYS: usize = 16;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Frame {
    #[prost(message, optional, tag = "1")]
    pub(super) subscriptions: Option<Subscriptions>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) messages: Vec<Bytes>,
    #[prost(message, repeated, tag = "3")]
    pub(super) have: Vec<Have>,
    /// Ids.
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) want: Bytes,
    #[prost(string, repeated, tag = "5")]
    pub(super) graft: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub(super) prune: Vec<Prune>,
    /// Nodes.
    #[prost(bytes = "bytes", tag = "7")]
    pub(super) want_keys: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "8")]
    pub(super) keys: Vec<Bytes>,
}

/// All topics of a node; the ones with the highest version count.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Subscriptions {
    #[prost(uint64, tag = "1")]
    pub(super) version: u64,
    #[prost(string, repeated, tag = "2")]
    pub(super) topics: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Have {
    #[prost(string, tag = "1")]
    pub(super) topic: String,
    /// Ids.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) ids: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Prune {
    #[prost(string, tag = "1")]
    pub(super) topic: String,
    /// For how long not to graft, in milliseconds.
    #[prost(uint64, tag = "2")]
    pub(super) backoff: u64,
}

/// The most bytes of a frame.
pub(super) const fn max_frame(max_payload: usize) -> usize {
    max_payload + OVERHEAD + (128 << 10)
}

impl Frame {
    pub(super) fn read(bytes: &[u8], max_payload: usize) -> Result<Self, MessageError> {
        if bytes.len() > max_frame(max_payload) {
            return Err(MessageError { what: "too long" });
        }
        let frame = Self::decode(bytes).map_err(|_| MessageError { what: "no frame" })?;
        let topics = frame.subscriptions.as_ref().map_or(0, |it| it.topics.len());
        let is_bounded = topics <= MAX_TOPICS
            && frame.messages.len() <= MAX_MESSAGES
            && frame.have.len() <= MAX_TOPICS
            && frame.have.iter().all(|have| have.ids.len() <= 32 * MAX_IDS)
            && frame.want.len() <= 32 * MAX_IDS
            && frame.graft.len() <= MAX_TOPICS
            && frame.prune.len() <= MAX_TOPICS
            && frame.want_keys.len() <= 32 * MAX_KEYS
            && frame.keys.len() <= MAX_KEYS;
        if is_bounded { Ok(frame) } else { Err(MessageError { what: "more entries than a frame has" }) }
    }
}

fn packed(bytes: &Bytes) -> Result<impl Iterator<Item = [u8; 32]> + '_, MessageError> {
    let (chunks, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| chunks.iter().copied()).ok_or(MessageError { what: "ids of another length" })
}

pub(super) fn read_ids(bytes: &Bytes) -> Result<Vec<MessageId>, MessageError> {
    Ok(packed(bytes)?.map(MessageId::from_bytes).collect())
}

pub(super) fn read_nodes(bytes: &Bytes) -> Result<Vec<NodeId>, MessageError> {
    Ok(packed(bytes)?.map(NodeId::from_bytes).collect())
}

pub(super) fn pack<'a>(all: impl IntoIterator<Item = &'a [u8; 32]>) -> Bytes {
    all.into_iter().flatten().copied().collect::<Vec<_>>().into()
}

pub(super) fn read_topic(text: &str) -> Result<Topic, MessageError> {
    text.parse().map_err(|_| MessageError { what: "no topic" })
}
