//! Records as they travel: Protocol Buffers, of which the signature covers the bytes as they are. What a later version adds
//! is passed on, signed and unread.

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_crypto::{CryptoSuite, VerifyingKey};
use multiaddr::Multiaddr;
use prost::Message;

use super::error::{ContentError, RecordError};
use super::{MAX_ADDRESSES, MAX_SERVICES, NodeRecord, Role, Tier};
use crate::network::NetworkName;

/// How many roles a record may name, known and unknown ones.
const MAX_ROLES: usize = 16;

#[derive(Clone, PartialEq, Message)]
struct Signed {
    #[prost(bytes = "bytes", tag = "1")]
    body: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    signature: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Body {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(uint64, tag = "2")]
    version: u64,
    #[prost(uint64, tag = "3")]
    issued: u64,
    #[prost(uint64, tag = "4")]
    expires: u64,
    #[prost(bytes = "vec", repeated, tag = "5")]
    addresses: Vec<Vec<u8>>,
    #[prost(uint32, repeated, tag = "6")]
    roles: Vec<u32>,
    #[prost(uint32, tag = "7")]
    tier: u32,
    #[prost(string, repeated, tag = "8")]
    services: Vec<String>,
    #[prost(bytes = "vec", tag = "9")]
    kem: Vec<u8>,
    #[prost(string, tag = "10")]
    pub(super) network: String,
}

pub(super) fn encode(record: &NodeRecord, key: &VerifyingKey, network: &NetworkName) -> Bytes {
    let role = |role: &Role| match role {
        Role::Bootstrap => 1,
        Role::Agent => 2,
        Role::Service => 3,
        Role::Bridge => 4,
    };
    let tier = match record.tier {
        Tier::Leaf => 0,
        Tier::RegionalHub => 1,
        Tier::SuperNode => 2,
    };
    let body = Body {
        key: key.encode(),
        version: record.version,
        issued: record.issued.as_millis(),
        expires: record.expires.as_millis(),
        addresses: record.addresses.iter().map(Multiaddr::to_vec).collect(),
        roles: record.roles.iter().map(role).collect(),
        tier,
        services: record.services.iter().map(ToString::to_string).collect(),
        kem: record.kem.encode(),
        network: network.to_string(),
    };
    body.encode_to_vec().into()
}

pub(super) fn seal(body: Bytes, signature: Vec<u8>) -> Bytes {
    Signed { body, signature: signature.into() }.encode_to_vec().into()
}

/// What was signed, and the signature.
pub(super) fn open(bytes: &[u8]) -> Result<(Bytes, Bytes), prost::DecodeError> {
    let Signed { body, signature } = Signed::decode(bytes)?;
    Ok((body, signature))
}

impl Body {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        let body = Self::decode(bytes)?;
        let bounded = [
            ("addresses", body.addresses.len(), MAX_ADDRESSES),
            ("roles", body.roles.len(), MAX_ROLES),
            ("services", body.services.len(), MAX_SERVICES),
        ];
        match bounded.into_iter().find(|(_, count, max)| count > max) {
            Some((what, count, max)) => Err(ContentError::TooMany { what, count, max }.into()),
            None => Ok(body),
        }
    }

    pub(super) fn into_record(self, suite: &CryptoSuite) -> Result<NodeRecord, RecordError> {
        // What a later version has is not ours to judge.
        let role = |role| match role {
            1 => Some(Role::Bootstrap),
            2 => Some(Role::Agent),
            3 => Some(Role::Service),
            4 => Some(Role::Bridge),
            _ => None,
        };
        let tier = match self.tier {
            1 => Tier::RegionalHub,
            2 => Tier::SuperNode,
            _ => Tier::Leaf,
        };
        Ok(NodeRecord {
            version: self.version,
            issued: Timestamp::from_millis(self.issued),
            expires: Timestamp::from_millis(self.expires),
            addresses: self
                .addresses
                .into_iter()
                .filter_map(|bytes| Multiaddr::try_from(bytes).ok())
                .collect(),
            roles: self.roles.into_iter().filter_map(role).collect(),
            tier,
            services: self.services.iter().filter_map(|name| name.parse().ok()).collect(),
            kem: suite.decode_encapsulation_key(&self.kem)?,
        })
    }
}
