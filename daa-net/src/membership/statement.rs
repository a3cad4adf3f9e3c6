//! What a member says of itself, signed: that it is there, or that it goes.

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_crypto::{Context, CryptoSuite, SignError, VerifyingKey};
use prost::Message;

use crate::identity::NodeIdentity;
use crate::network::NetworkName;
use crate::node_id::NodeId;
use crate::record::MAX_SKEW;

/// The most bytes of a signed statement.
pub(crate) const MAX_STATEMENT: usize = 6 << 10;

const STATEMENT: Context = Context::new("daa-net membership statement v1");

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is there.
    Alive,
    /// It goes.
    Left,
}

/// A later statement has a higher incarnation, which is a moment of its node's clock wherever that is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) node: NodeId,
    pub(crate) incarnation: u64,
    pub(crate) kind: Kind,
}

/// A statement that its node has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedStatement {
    statement: Statement,
    bytes: Bytes,
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
    #[prost(bytes = "bytes", tag = "2")]
    node: Bytes,
    #[prost(uint64, tag = "3")]
    incarnation: u64,
    #[prost(uint32, tag = "4")]
    kind: u32,
}

impl Statement {
    /// Signs it, for one network.
    pub(crate) async fn sign(
        self,
        identity: &NodeIdentity,
        network: &NetworkName,
    ) -> Result<SignedStatement, SignError> {
        let body = Body {
            network: network.to_string(),
            node: Bytes::copy_from_slice(self.node.as_bytes()),
            incarnation: self.incarnation,
            kind: match self.kind {
                Kind::Alive => 1,
                Kind::Left => 2,
            },
        };
        let body = Bytes::from(body.encode_to_vec());
        let signature = identity.signer().sign(STATEMENT, &body).await?.encode().into();
        let bytes = Signed { body, signature }.encode_to_vec().into();
        Ok(SignedStatement { statement: self, bytes })
    }
}

/// A statement that was read, but not verified.
pub(super) struct Unverified {
    pub(super) statement: Statement,
    body: Bytes,
    signature: Bytes,
    bytes: Bytes,
}

impl Unverified {
    /// Nothing where it is no statement of this network.
    pub(super) fn read(bytes: &Bytes, network: &NetworkName) -> Option<Self> {
        if bytes.len() > MAX_STATEMENT {
            return None;
        }
        let Signed { body, signature } = Signed::decode(&**bytes).ok()?;
        let read = Body::decode(&*body).ok().filter(|read| read.network == network.as_str())?;
        let node = NodeId::from_bytes((&*read.node).try_into().ok()?);
        let kind = match read.kind {
            1 => Kind::Alive,
            2 => Kind::Left,
            _ => return None,
        };
        let statement = Statement { node, incarnation: read.incarnation, kind };
        Some(Self { statement, body, signature, bytes: bytes.clone() })
    }

    /// Whether its node's clock is ahead of ours by more than it may.
    pub(super) fn is_early(&self, now: Timestamp) -> bool {
        self.statement.incarnation > (now + MAX_SKEW).as_millis()
    }

    /// Nothing where its node has not signed it.
    pub(super) fn verify(self, suite: &CryptoSuite, key: &VerifyingKey) -> Option<SignedStatement> {
        let signature = suite.decode_signature(&self.signature).ok()?;
        let is_its = NodeId::of(key) == self.statement.node;
        let is_signed = is_its && suite.verify(key, STATEMENT, &self.body, &signature).is_ok();
        is_signed.then_some(SignedStatement { statement: self.statement, bytes: self.bytes })
    }
}

impl SignedStatement {
    pub(crate) const fn statement(&self) -> Statement {
        self.statement
    }

    pub(crate) const fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }
}
