//! The messages as they travel: Protocol Buffers. What is signed is inside as bytes, and signed as it travels.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::MAX_MESSAGE;
use super::error::{AuthError, Refusal};
use crate::node_id::NodeId;

pub(super) const NONCE: usize = 32;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Hello {
    #[prost(uint32, repeated, tag = "1")]
    pub(super) versions: Vec<u32>,
    #[prost(string, tag = "2")]
    pub(super) network: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) node: Bytes,
    /// Empty when any node will do.
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) expected: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) nonce: Bytes,
    #[prost(bytes = "bytes", tag = "6")]
    pub(super) kem: Bytes,
    /// The key of the expected node is known.
    #[prost(bool, tag = "7")]
    pub(super) knows_key: bool,
    /// What frames may be sealed with, the best first.
    #[prost(uint32, repeated, tag = "8")]
    pub(super) ciphers: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Reply {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) nonce: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) ciphertext: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) node: Bytes,
    /// Empty when the other side said that it knows it.
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) key: Bytes,
    #[prost(bool, tag = "6")]
    pub(super) knows_key: bool,
    /// What frames are sealed with.
    #[prost(uint32, tag = "7")]
    pub(super) cipher: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Finish {
    /// Empty when the other side said that it knows it.
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
}

/// A signature over everything before it, what it covers last included.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Signed {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) body: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) signature: Bytes,
    /// Of a finish only.
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) confirmation: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Refused {
    #[prost(uint32, tag = "1")]
    reason: u32,
}

#[derive(Clone, PartialEq, Oneof)]
enum Content {
    #[prost(bytes = "bytes", tag = "1")]
    Hello(Bytes),
    #[prost(message, tag = "2")]
    Reply(Signed),
    #[prost(message, tag = "3")]
    Finish(Signed),
    #[prost(message, tag = "4")]
    Refused(Refused),
}

#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(oneof = "Content", tags = "1, 2, 3, 4")]
    content: Option<Content>,
}

fn wrap(content: Content) -> Vec<u8> {
    Envelope { content: Some(content) }.encode_to_vec()
}

fn unwrap(bytes: &[u8]) -> Result<Content, AuthError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(AuthError::TooLong { len: bytes.len() });
    }
    match Envelope::decode(bytes)?.content.ok_or(AuthError::Unexpected)? {
        Content::Refused(Refused { reason }) => Err(AuthError::Refused(Refusal::from_number(reason))),
        content => Ok(content),
    }
}

/// A hello: the bytes to send, and the part that the transcript has.
pub(super) fn hello(hello: &Hello) -> (Vec<u8>, Bytes) {
    let body = Bytes::from(hello.encode_to_vec());
    (wrap(Content::Hello(body.clone())), body)
}

pub(super) fn read_hello(bytes: &[u8]) -> Result<(Hello, Bytes), AuthError> {
    let Content::Hello(body) = unwrap(bytes)? else { return Err(AuthError::Unexpected) };
    Ok((Hello::decode(body.clone())?, body))
}

pub(super) fn reply(body: Bytes, signature: Vec<u8>) -> Vec<u8> {
    wrap(Content::Reply(Signed { body, signature: signature.into(), confirmation: Bytes::new() }))
}

pub(super) fn read_reply(bytes: &[u8]) -> Result<(Reply, Signed), AuthError> {
    let Content::Reply(signed) = unwrap(bytes)? else { return Err(AuthError::Unexpected) };
    Ok((Reply::decode(signed.body.clone())?, signed))
}

pub(super) fn finish(body: Bytes, signature: Vec<u8>, confirmation: &[u8; 32]) -> Vec<u8> {
    let confirmation = Bytes::copy_from_slice(confirmation);
    wrap(Content::Finish(Signed { body, signature: signature.into(), confirmation }))
}

pub(super) fn read_finish(bytes: &[u8]) -> Result<(Finish, Signed), AuthError> {
    let Content::Finish(signed) = unwrap(bytes)? else { return Err(AuthError::Unexpected) };
    Ok((Finish::decode(signed.body.clone())?, signed))
}

pub(super) fn refused(refusal: Refusal) -> Vec<u8> {
    wrap(Content::Refused(Refused { reason: refusal.to_number() }))
}

/// A node's name in a message.
pub(super) fn node(bytes: &Bytes) -> Result<NodeId, AuthError> {
    fixed("node", bytes).map(NodeId::from_bytes)
}

pub(super) fn fixed<const N: usize>(field: &'static str, bytes: &Bytes) -> Result<[u8; N], AuthError> {
    let wrong = || AuthError::Length { field, expected: N, found: bytes.len() };
    <[u8; N]>::try_from(&**bytes).map_err(|_| wrong())
}
