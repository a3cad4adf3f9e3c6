//! How a connection is.

use std::time::Duration;

/// Whether the server can be used right now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisState {
    /// It answered the last heartbeat.
    Ready {
        /// How long it took to answer.
        answered_in: Duration,
    },
    /// It cannot be reached, or does not answer. It is tried again, at least twice a second.
    Unavailable {
        /// Why, without secrets.
        reason: String,
    },
}

/// How a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisHealth {
    /// Whether the server can be used right now.
    pub state: RedisState,
    /// How often the connection was made.
    pub connects: u64,
}

impl RedisHealth {
    pub(super) const fn new(state: RedisState, connects: u64) -> Self {
        Self { state, connects }
    }

    /// Whether calls are answered.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, RedisState::Ready { .. })
    }
}
