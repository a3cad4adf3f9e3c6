//! Where a node begins: peers that were configured, or were good when it ran last.

use daa_core::fault::{Fault, Reaction, Retry};
use multiaddr::Multiaddr;
use prost::Message as _;

use crate::node_id::NodeId;
use crate::record::{MAX_ADDRESS, MAX_ADDRESSES, SignedRecord};

/// The version of the encoding.
const VERSION: u32 = 1;
/// The most peers of a list.
const MAX_PEERS: usize = 64;
/// The most bytes of an encoded list.
const MAX_BYTES: usize = MAX_PEERS * (MAX_ADDRESSES * (MAX_ADDRESS + 4) + 64) + 16;

/// A node, and where it may be. Whether it is that node, its handshake proves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BootstrapPeer {
    /// Who.
    pub node: NodeId,
    /// Where, at most 16.
    pub addresses: Vec<Multiaddr>,
}

impl BootstrapPeer {
    /// A node at these addresses, of which the first 16 are kept, without those of more than 256 bytes.
    #[must_use]
    pub fn new(node: NodeId, addresses: impl IntoIterator<Item = Multiaddr>) -> Self {
        let addresses = addresses.into_iter().filter(|address| address.len() <= MAX_ADDRESS);
        Self { node, addresses: addresses.take(MAX_ADDRESSES).collect() }
    }
}

impl From<&SignedRecord> for BootstrapPeer {
    fn from(record: &SignedRecord) -> Self {
        Self::new(record.node(), record.record().addresses.iter().cloned())
    }
}

/// Peers to begin with, the best first: at most 64. It is saved and loaded, so that a node finds the network again without those
/// who were configured. It outlives the records of those in it, which say no more than where they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootstrapList {
    peers: Vec<BootstrapPeer>,
}

impl BootstrapList {
    /// A list of these, the first 64 that are somewhere; of two about one node the first.
    #[must_use]
    pub fn new(peers: impl IntoIterator<Item = BootstrapPeer>) -> Self {
        let mut list = Self::default();
        for peer in peers {
            let is_there = list.peers.iter().any(|other| other.node == peer.node);
            if list.peers.len() < MAX_PEERS && !is_there && !peer.addresses.is_empty() {
                list.peers.push(peer);
            }
        }
        list
    }

    /// The peers.
    #[must_use]
    pub fn peers(&self) -> &[BootstrapPeer] {
        &self.peers
    }

    /// The bytes to save; [`decode`](Self::decode) reads them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let peer = |peer: &BootstrapPeer| proto::Peer {
            node: peer.node.as_bytes().to_vec(),
            addresses: peer.addresses.iter().map(Multiaddr::to_vec).collect(),
        };
        proto::List { version: VERSION, peers: self.peers.iter().map(peer).collect() }.encode_to_vec()
    }

    /// Reads what was saved. Addresses that this version cannot read are left out.
    ///
    /// # Errors
    /// [`BootstrapError`]: it is not a list, or one of a later version.
    pub fn decode(bytes: &[u8]) -> Result<Self, BootstrapError> {
        if bytes.len() > MAX_BYTES {
            return Err(BootstrapError::Size { len: bytes.len() });
        }
        let list = proto::List::decode(bytes)?;
        if list.version != VERSION {
            return Err(BootstrapError::Version { found: list.version });
        }
        let mut peers = Vec::new();
        for peer in list.peers.into_iter().take(MAX_PEERS) {
            let len = peer.node.len();
            let node = peer.node.try_into().map_err(|_| BootstrapError::Node { len })?;
            let addresses = peer.addresses.into_iter().filter_map(|bytes| Multiaddr::try_from(bytes).ok());
            peers.push(BootstrapPeer::new(NodeId::from_bytes(node), addresses));
        }
        Ok(Self::new(peers))
    }
}

/// Bytes that are no list of peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// Too long.
    #[error("a list of peers has at most {MAX_BYTES} bytes, not {len}")]
    Size {
        /// Its length in bytes.
        len: usize,
    },
    /// Not the encoding of one.
    #[error("not the encoding of a list of peers: {0}")]
    Encoding(#[from] prost::DecodeError),
    /// Of another version.
    #[error("the list of peers is of version {found}, and {VERSION} can be read")]
    Version {
        /// Which.
        found: u32,
    },
    /// A node that is none.
    #[error("a node id has 32 bytes, not {len}")]
    Node {
        /// How many it has.
        len: usize,
    },
}

impl Reaction for BootstrapError {
    fn fault(&self) -> Fault {
        Fault::Environment
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct List {
        #[prost(uint32, tag = "1")]
        pub(super) version: u32,
        #[prost(message, repeated, tag = "2")]
        pub(super) peers: Vec<Peer>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Peer {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) node: Vec<u8>,
        #[prost(bytes = "vec", repeated, tag = "2")]
        pub(super) addresses: Vec<Vec<u8>>,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{address, number};
    use super::*;

    fn peer(who: u32, addresses: u32) -> BootstrapPeer {
        BootstrapPeer::new(number(who), (0..addresses).map(|at| address(who * 20 + at)))
    }

    #[test]
    fn it_is_bounded_and_has_each_node_once() {
        let list = BootstrapList::new((0..200).map(|who| peer(who, 30)));
        assert_eq!(list.peers().len(), 64);
        assert!(list.peers().iter().all(|peer| peer.addresses.len() == 16));
        assert_eq!(BootstrapList::decode(&list.encode()), Ok(list));
        let twice = BootstrapList::new([peer(1, 2), peer(2, 0), peer(1, 3)]);
        assert_eq!(twice.peers(), [peer(1, 2)], "and only who is somewhere");
    }

    #[test]
    fn the_largest_list_can_be_read() {
        let long = |port: u16| {
            let names = format!(
                "/dns4/{}/tcp/{port}",
                ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(50)].join(".")
            );
            names.parse::<Multiaddr>().unwrap()
        };
        let peers = (0..64).map(|who| BootstrapPeer::new(number(who), (0..16).map(long)));
        let list = BootstrapList::new(peers);
        assert!(list.encode().len() > 64 * 16 * 240);
        assert_eq!(BootstrapList::decode(&list.encode()), Ok(list));
    }

    #[test]
    fn a_later_version_is_told_from_garbage() {
        let later = proto::List { version: 2, peers: Vec::new() }.encode_to_vec();
        assert_eq!(BootstrapList::decode(&later), Err(BootstrapError::Version { found: 2 }));
        assert!(matches!(BootstrapList::decode(&[0xff; 9]), Err(BootstrapError::Encoding(_))));
        assert!(matches!(BootstrapList::decode(&vec![0; MAX_BYTES + 1]), Err(BootstrapError::Size { .. })));
        let short = proto::Peer { node: vec![1; 31], addresses: Vec::new() };
        let short = proto::List { version: 1, peers: vec![short] }.encode_to_vec();
        assert_eq!(BootstrapList::decode(&short), Err(BootstrapError::Node { len: 31 }));
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_or_a_list_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(list) = BootstrapList::decode(&bytes) {
                prop_assert!(list.peers().len() <= MAX_PEERS);
            }
        }
    }
}
