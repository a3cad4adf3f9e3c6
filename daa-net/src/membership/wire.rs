//! The messages of membership as they travel: Protocol Buffers.

use bytes::Bytes;
use prost::{Message as _, Oneof};

use crate::machine::MessageError;
use crate::node_id::NodeId;

/// The most bytes of a message.
pub(crate) const MAX_MESSAGE: usize = 64 << 10;
/// The most claims in a message that is not part of a comparison.
pub(super) const MAX_CLAIMS: usize = 16;
/// The most claims in a comparison.
pub(super) const PAGE: usize = 256;
/// The most members that are asked for at once, or given.
pub(super) const MAX_ITEMS: usize = 16;

/// What a node says of a member, as far as it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) node: NodeId,
    pub(super) incarnation: u64,
    /// The version of its record, zero where there is none.
    pub(super) record: u64,
    pub(super) standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Alive,
    /// Whoever says it has not reached it.
    Accused,
    Left,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) statement: Bytes,
    /// Empty where the other side has it.
    pub(super) record: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Ping {
        number: u64,
        claims: Vec<Claim>,
    },
    Ack {
        number: u64,
        claims: Vec<Claim>,
    },
    /// To ping another for us.
    Ask {
        number: u64,
        target: NodeId,
    },
    /// The other did not answer so far.
    Nack {
        number: u64,
    },
    /// All that is known from one node to another, both included.
    Sync {
        from: NodeId,
        to: NodeId,
        claims: Vec<Claim>,
    },
    /// What differs.
    Differ {
        claims: Vec<Claim>,
    },
    /// What is known already.
    Want {
        claims: Vec<Claim>,
    },
    Have {
        items: Vec<Item>,
    },
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireClaim {
    #[prost(bytes = "bytes", tag = "1")]
    node: Bytes,
    #[prost(uint64, tag = "2")]
    incarnation: u64,
    #[prost(uint64, tag = "3")]
    record: u64,
    #[prost(uint32, tag = "4")]
    standing: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Probe {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(message, repeated, tag = "2")]
    claims: Vec<WireClaim>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Ask {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(bytes = "bytes", tag = "2")]
    target: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sync {
    #[prost(bytes = "bytes", tag = "1")]
    from: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    to: Bytes,
    #[prost(message, repeated, tag = "3")]
    claims: Vec<WireClaim>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Claims {
    #[prost(message, repeated, tag = "1")]
    claims: Vec<WireClaim>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireItem {
    #[prost(bytes = "bytes", tag = "1")]
    statement: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    record: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Have {
    #[prost(message, repeated, tag = "1")]
    items: Vec<WireItem>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Content {
    #[prost(message, tag = "1")]
    Ping(Probe),
    #[prost(message, tag = "2")]
    Ack(Probe),
    #[prost(message, tag = "3")]
    Ask(Ask),
    #[prost(uint64, tag = "4")]
    Nack(u64),
    #[prost(message, tag = "5")]
    Sync(Sync),
    #[prost(message, tag = "6")]
    Differ(Claims),
    #[prost(message, tag = "7")]
    Want(Claims),
    #[prost(message, tag = "8")]
    Have(Have),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(oneof = "Content", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    content: Option<Content>,
}

impl Message {
    pub(super) fn encode(self) -> Bytes {
        let claims = |claims: Vec<Claim>| claims.into_iter().map(write_claim).collect();
        let content = match self {
            Self::Ping { number, claims: all } => Content::Ping(Probe { number, claims: claims(all) }),
            Self::Ack { number, claims: all } => Content::Ack(Probe { number, claims: claims(all) }),
            Self::Ask { number, target } => Content::Ask(Ask { number, target: write_node(target) }),
            Self::Nack { number } => Content::Nack(number),
            Self::Sync { from, to, claims: all } => {
                Content::Sync(Sync { from: write_node(from), to: write_node(to), claims: claims(all) })
            }
            Self::Differ { claims: all } => Content::Differ(Claims { claims: claims(all) }),
            Self::Want { claims: all } => Content::Want(Claims { claims: claims(all) }),
            Self::Have { items } => {
                let write = |Item { statement, record }| WireItem { statement, record };
                Content::Have(Have { items: items.into_iter().map(write).collect() })
            }
        };
        Envelope { content: Some(content) }.encode_to_vec().into()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(MessageError { what: "too long" });
        }
        let envelope = Envelope::decode(bytes).map_err(|_| MessageError { what: "no message" })?;
        let content = envelope.content.ok_or(MessageError { what: "of an unknown kind" })?;
        Ok(match content {
            Content::Ping(Probe { number, claims }) => {
                Self::Ping { number, claims: read_claims(claims, MAX_CLAIMS)? }
            }
            Content::Ack(Probe { number, claims }) => {
                Self::Ack { number, claims: read_claims(claims, MAX_CLAIMS)? }
            }
            Content::Ask(Ask { number, target }) => Self::Ask { number, target: read_node(&target)? },
            Content::Nack(number) => Self::Nack { number },
            Content::Sync(Sync { from, to, claims }) => {
                let claims = read_claims(claims, PAGE)?;
                Self::Sync { from: read_node(&from)?, to: read_node(&to)?, claims }
            }
            Content::Differ(Claims { claims }) => Self::Differ { claims: read_claims(claims, PAGE)? },
            Content::Want(Claims { claims }) => Self::Want { claims: read_claims(claims, MAX_ITEMS)? },
            Content::Have(Have { items }) => {
                check(items.len(), MAX_ITEMS)?;
                let read = |WireItem { statement, record }| Item { statement, record };
                Self::Have { items: items.into_iter().map(read).collect() }
            }
        })
    }
}

fn check(count: usize, max: usize) -> Result<(), MessageError> {
    if count > max { Err(MessageError { what: "more entries than a message has" }) } else { Ok(()) }
}

fn write_node(node: NodeId) -> Bytes {
    Bytes::copy_from_slice(node.as_bytes())
}

fn read_node(bytes: &Bytes) -> Result<NodeId, MessageError> {
    let bytes = (&**bytes).try_into().map_err(|_| MessageError { what: "a node of another length" })?;
    Ok(NodeId::from_bytes(bytes))
}

fn write_claim(claim: Claim) -> WireClaim {
    let Claim { node, incarnation, record, standing } = claim;
    let standing = match standing {
        Standing::Alive => 1,
        Standing::Accused => 2,
        Standing::Left => 3,
    };
    WireClaim { node: write_node(node), incarnation, record, standing }
}

fn read_claims(claims: Vec<WireClaim>, max: usize) -> Result<Vec<Claim>, MessageError> {
    check(claims.len(), max)?;
    let read = |WireClaim { node, incarnation, record, standing }| {
        let standing = match standing {
            1 => Standing::Alive,
            2 => Standing::Accused,
            3 => Standing::Left,
            _ => return Err(MessageError { what: "an unknown standing" }),
        };
        Ok(Claim { node: read_node(&node)?, incarnation, record, standing })
    };
    claims.into_iter().map(read).collect()
}
