//! The name of a bus on a broker.

use std::fmt;
use std::str::FromStr;

use daa_core::fault::{Fault, Reaction, Retry};

/// Names a bus on a broker: 1 to 32 characters of `a-z 0-9 -`. Everything that the bus makes there begins with it, so
/// that buses share a broker without meeting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BusName(String);

impl BusName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BusName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BusName {
    type Err = BusNameError;

    fn from_str(text: &str) -> Result<Self, BusNameError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 32 || !text.bytes().all(allowed) {
            return Err(BusNameError { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

/// A string that cannot name a bus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot name a bus: 1 to 32 characters of a-z 0-9 - can")]
#[non_exhaustive]
pub struct BusNameError {
    /// The string.
    pub text: String,
}

impl Reaction for BusNameError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}
