//! What vendors attach to a place in a trace.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::TraceError;

/// The longest `tracestate`, in bytes: what the recommendation asks everyone to pass on.
pub const MAX_TRACESTATE_LEN: usize = 512;

/// The header `tracestate`, passed on as it came. What is in it is the business of those who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceState(String);

impl TraceState {
    /// Checks that a header can carry it.
    ///
    /// # Errors
    /// [`TraceError::StateLength`] when it is empty or has more than [`MAX_TRACESTATE_LEN`] bytes;
    /// [`TraceError::StateCharacter`] when it has anything but printable ASCII, spaces and tabs.
    pub fn new(text: impl Into<String>) -> Result<Self, TraceError> {
        let text = text.into();
        if text.is_empty() || text.len() > MAX_TRACESTATE_LEN {
            return Err(TraceError::StateLength { len: text.len() });
        }
        match text.chars().find(|&c| !matches!(c, ' '..='~' | '\t')) {
            Some(found) => Err(TraceError::StateCharacter { found }),
            None => Ok(Self(text)),
        }
    }

    /// The header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TraceState {
    type Error = TraceError;

    fn try_from(text: String) -> Result<Self, TraceError> {
        Self::new(text)
    }
}

impl From<TraceState> for String {
    fn from(state: TraceState) -> Self {
        state.0
    }
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
