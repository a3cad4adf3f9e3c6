//! Records of names as they travel: Protocol Buffers, of which signatures cover the bytes as they are.

use bytes::Bytes;
use daa_crypto::VerifyingKey;
use prost::Message;

use super::error::NameError;
use super::name::Name;
use super::record::{MAX_PROPERTIES, NameRecord};
use super::title::Title;
use crate::network::NetworkName;
use crate::node_id::NodeId;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Signed {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) body: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) signature: Bytes,
    #[prost(message, repeated, tag = "3")]
    pub(super) transfers: Vec<Transfer>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Transfer {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) body: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) signature: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TransferBody {
    #[prost(string, tag = "1")]
    pub(super) network: String,
    #[prost(string, tag = "2")]
    pub(super) label: String,
    #[prost(uint64, tag = "3")]
    pub(super) ordinal: u64,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) key: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    to: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Body {
    #[prost(string, tag = "1")]
    pub(super) network: String,
    #[prost(string, tag = "2")]
    label: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) key: Bytes,
    #[prost(uint64, tag = "4")]
    pub(super) version: u64,
    #[prost(uint64, tag = "5")]
    pub(super) issued: u64,
    #[prost(uint64, tag = "6")]
    pub(super) expires: u64,
    #[prost(bytes = "bytes", tag = "7")]
    target: Bytes,
    #[prost(message, repeated, tag = "8")]
    pub(super) properties: Vec<Property>,
    #[prost(bytes = "bytes", tag = "9")]
    claimer: Bytes,
    #[prost(uint64, tag = "10")]
    pub(super) claim_ordinal: u64,
    #[prost(fixed64, tag = "11")]
    pub(super) claim_nonce: u64,
    #[prost(uint64, tag = "12")]
    pub(super) ordinal: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Property {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

fn node(field: &'static str, bytes: &[u8]) -> Result<NodeId, NameError> {
    bytes.try_into().map(NodeId::from_bytes).map_err(|_| NameError::Length { field })
}

fn bytes(node: NodeId) -> Bytes {
    Bytes::copy_from_slice(node.as_bytes())
}

impl TransferBody {
    pub(super) fn encode(
        network: &NetworkName,
        name: &Name,
        ordinal: u64,
        from: &VerifyingKey,
        to: NodeId,
    ) -> Bytes {
        let body = Self {
            network: network.to_string(),
            label: name.label().to_owned(),
            ordinal,
            key: from.encode().into(),
            to: bytes(to),
        };
        body.encode_to_vec().into()
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, NameError> {
        Ok(Self::decode(bytes)?)
    }

    pub(super) fn to(&self) -> Result<NodeId, NameError> {
        node("new owner", &self.to)
    }
}

impl Body {
    pub(super) fn encode(
        network: &NetworkName,
        record: &NameRecord,
        title: &Title,
        key: &VerifyingKey,
    ) -> Bytes {
        let property = |(key, value): (&String, &String)| Property { key: key.clone(), value: value.clone() };
        let body = Self {
            network: network.to_string(),
            label: record.name.label().to_owned(),
            key: key.encode().into(),
            version: record.version,
            issued: record.issued.as_millis(),
            expires: record.expires.as_millis(),
            target: bytes(record.target),
            properties: record.properties.iter().map(property).collect(),
            claimer: bytes(title.claim().owner()),
            claim_ordinal: title.claim().ordinal(),
            claim_nonce: title.claim().nonce(),
            ordinal: title.ordinal(),
        };
        body.encode_to_vec().into()
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, NameError> {
        let body = Self::decode(bytes)?;
        if body.properties.len() > MAX_PROPERTIES {
            return Err(NameError::Properties);
        }
        Ok(body)
    }

    pub(super) fn name(&self) -> Result<Name, NameError> {
        Ok(format!("{}.dark", self.label).parse()?)
    }

    pub(super) fn target(&self) -> Result<NodeId, NameError> {
        node("target", &self.target)
    }

    pub(super) fn claimer(&self) -> Result<NodeId, NameError> {
        node("claimer", &self.claimer)
    }
}

pub(super) fn seal(body: Bytes, signature: Vec<u8>, title: &Title) -> Bytes {
    let transfers = title.transfers().cloned().collect();
    Signed { body, signature: signature.into(), transfers }.encode_to_vec().into()
}
