//! Names of networks.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use daa_core::fault::{Fault, Reaction, Retry};

/// The most bytes of a network's name.
const MAX: usize = 64;

/// The network that a node is of: nodes of different networks do not talk to each other. 1 to 64 printable characters of
/// ASCII. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NetworkName(Arc<str>);

impl NetworkName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for NetworkName {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = (1..=MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_name.then(|| Self(text.into())).ok_or(ParseNetworkError)
    }
}

/// A text that cannot name a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a network is 1 to 64 printable characters of ASCII without blanks")]
#[non_exhaustive]
pub struct ParseNetworkError;

impl Reaction for ParseNetworkError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}
