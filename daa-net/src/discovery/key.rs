//! The space in which nodes and what they look for have places: 256 bits, with the exclusive or as distance.

use std::fmt;

use crate::network::NetworkName;
use crate::node_id::NodeId;
use crate::record::Service;

/// A place: that of a node is its id, that of a service or a name is a hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key([u8; 32]);

/// How far apart two places are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Distance([u8; 32]);

impl Key {
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Where those who offer a service are written down.
    pub(crate) fn of_service(network: &NetworkName, service: &Service) -> Self {
        Self::hash("daa-net 2026-11 service key v1", network, service.as_str())
    }

    /// Where a registered name is written down.
    pub(crate) fn of_name(network: &NetworkName, label: &str) -> Self {
        Self::hash("daa-net 2026-11 name key v1", network, label)
    }

    fn hash(context: &'static str, network: &NetworkName, what: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for field in [network.as_str(), what] {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    pub(crate) fn distance(&self, to: &Self) -> Distance {
        let mut bytes = self.0;
        for (byte, other) in bytes.iter_mut().zip(to.0) {
            *byte ^= other;
        }
        Distance(bytes)
    }

    /// A place that shares exactly this many bits with this one, and has the rest from what is random.
    pub(crate) fn at_prefix(&self, bits: u8, random: [u8; 32]) -> Self {
        let mut bytes = random;
        let (whole, rest) = (usize::from(bits / 8), bits % 8);
        for (index, (byte, own)) in bytes.iter_mut().zip(self.0).enumerate() {
            if index < whole {
                *byte = own;
            } else if index == whole {
                let shared = !(0xff_u8 >> rest);
                let differs = 0x80_u8 >> rest;
                *byte = (own & shared) | (!own & differs) | (*byte & !(shared | differs));
            }
        }
        Self(bytes)
    }
}

impl From<NodeId> for Key {
    fn from(node: NodeId) -> Self {
        Self(*node.as_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl Distance {
    /// How many bits two places share from the first on, up to 255; nothing for a place and itself.
    pub(crate) fn shared_bits(&self) -> Option<u8> {
        let (index, byte) = self.0.iter().enumerate().find(|(_, byte)| **byte != 0)?;
        u8::try_from(index * 8 + byte.leading_zeros() as usize).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_exclusive_or_is_a_distance(a: [u8; 32], b: [u8; 32], c: [u8; 32]) {
            let (a, b, c) = (Key(a), Key(b), Key(c));
            prop_assert_eq!(a.distance(&b), b.distance(&a));
            prop_assert_eq!(a.distance(&b).shared_bits().is_none(), a == b);
            // For each distance there is one place, so whoever looks from the same side goes the same way.
            prop_assert_eq!(a.distance(&b) == a.distance(&c), b == c);
        }

        #[test]
        fn a_place_in_a_bucket_is_in_that_bucket(own: [u8; 32], random: [u8; 32], bits: u8) {
            let own = Key(own);
            prop_assert_eq!(own.at_prefix(bits, random).distance(&own).shared_bits(), Some(bits));
        }
    }

    #[test]
    fn what_is_looked_for_is_of_a_network_and_a_kind() {
        let (one, other): (NetworkName, NetworkName) = ("net".parse().unwrap(), "ne".parse().unwrap());
        let service: Service = "training".parse().unwrap();
        let key = Key::of_service(&one, &service);
        assert_ne!(key, Key::of_service(&other, &service));
        assert_ne!(key, Key::of_name(&one, "training"));
        assert_ne!(Key::of_name(&one, "abc"), Key::of_name(&other, "tabc"));
    }
}
