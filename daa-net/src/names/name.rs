//! Names as text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::error::ParseNameError;
use crate::node_id::NodeId;

const SUFFIX: &str = ".dark";
/// The fewest and the most characters before the suffix. More would be as long as the address of a node.
const LENGTH: std::ops::RangeInclusive<usize> = 3..=40;

/// A name that can be registered, such as `treasury.dark`: 3 to 40 of `a-z 0-9 -`, and the suffix. It neither begins nor ends
/// with a hyphen, and has no two in a row, so that it is never the encoding of something that looks different. Cheap to clone.
///
/// ```
/// # use daa_net::names::Name;
/// let name: Name = "treasury.dark".parse()?;
/// assert_eq!(name.label(), "treasury");
/// # Ok::<(), daa_net::names::ParseNameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// What stands before the suffix.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SUFFIX}", self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

impl FromStr for Name {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let label = text.strip_suffix(SUFFIX).ok_or(ParseNameError::Suffix)?;
        if !LENGTH.contains(&label.len()) {
            return Err(ParseNameError::Length { len: label.len() });
        }
        let is_allowed = |found: &char| found.is_ascii_lowercase() || found.is_ascii_digit() || *found == '-';
        if let Some(found) = label.chars().find(|found| !is_allowed(found)) {
            return Err(ParseNameError::Character { found });
        }
        if label.starts_with('-') || label.ends_with('-') || label.contains("--") {
            return Err(ParseNameError::Hyphen);
        }
        Ok(Self(label.into()))
    }
}

/// What `.dark` addresses lead to.
///
/// ```
/// # use daa_net::{NodeId, names::DarkAddress};
/// let node = NodeId::from_bytes([7; 32]);
/// assert_eq!(node.to_string().parse(), Ok(DarkAddress::Node(node)));
/// assert!(matches!("treasury.dark".parse(), Ok(DarkAddress::Name(_))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "an address certifies itself, or somebody has registered it")]
pub enum DarkAddress {
    /// A node, by its own address: nothing is to be resolved.
    Node(NodeId),
    /// A registered name.
    Name(Name),
}

impl fmt::Display for DarkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => node.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl FromStr for DarkAddress {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(node) => Ok(Self::Node(node)),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}
