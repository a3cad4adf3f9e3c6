//! Names of nodes.

use std::fmt;
use std::str::FromStr;

use daa_core::fault::{Fault, Reaction, Retry};
use daa_crypto::{KeyId, VerifyingKey};
use data_encoding::BASE32_NOPAD;

/// What stands behind the digits in the text of a node id.
const SUFFIX: &str = ".dark";
/// The digits of 32 bytes.
const DIGITS: usize = 52;

/// A node: the hash of the key with which it proves itself.
///
/// As text it is a self-certifying address: 52 digits of base 32 (RFC 4648, lower case) and `.dark`.
///
/// ```
/// # use daa_net::NodeId;
/// let node = NodeId::from_bytes([7; 32]);
/// let text = node.to_string();
/// assert_eq!(text, "a4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dq.dark");
/// assert_eq!(text.parse(), Ok(node));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 32]);

impl NodeId {
    /// The node with this key.
    #[must_use]
    pub fn of(key: &VerifyingKey) -> Self {
        Self::from(key.id())
    }

    /// Wraps 32 bytes that are already a node id.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<KeyId> for NodeId {
    fn from(key: KeyId) -> Self {
        Self(*key.as_bytes())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SUFFIX}", BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// A text that is not the address of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address of a node is 52 digits of a-z and 2-7, and .dark")]
#[non_exhaustive]
pub struct ParseNodeIdError;

impl Reaction for ParseNodeIdError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl FromStr for NodeId {
    type Err = ParseNodeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_suffix(SUFFIX).filter(|digits| digits.len() == DIGITS);
        let upper = digits.map(str::to_ascii_uppercase).ok_or(ParseNodeIdError)?;
        let bytes = BASE32_NOPAD.decode(upper.as_bytes()).map_err(|_| ParseNodeIdError)?;
        let node = Self(bytes.try_into().map_err(|_| ParseNodeIdError)?);
        // One text for each node.
        (node.to_string() == text).then_some(node).ok_or(ParseNodeIdError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_node_has_one_text(bytes: [u8; 32], at in 0..57_usize, other in "[ -~]") {
            let node = NodeId::from_bytes(bytes);
            let text = node.to_string();
            prop_assert_eq!(text.parse(), Ok(node));
            let mut changed = text.clone();
            changed.replace_range(at..at + 1, &other);
            if changed != text {
                prop_assert_ne!(changed.parse(), Ok(node));
            }
            prop_assert_eq!(text.to_uppercase().parse::<NodeId>(), Err(ParseNodeIdError));
            prop_assert_eq!(text[..at].parse::<NodeId>(), Err(ParseNodeIdError));
        }
    }
}
