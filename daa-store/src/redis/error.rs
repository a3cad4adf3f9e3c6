//! Why the server did not do what it was asked for.

use std::time::Duration;

/// Why a call failed. It has no secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisUnavailable {
    /// There is no connection right now; one is being made.
    #[error("not connected to {place}: {reason}")]
    NotConnected {
        /// Where the server is.
        place: String,
        /// Why not, as of the last try.
        reason: String,
    },
    /// The server did not answer in time. What was asked for may have happened.
    #[error("no answer within {limit:?}")]
    TimedOut {
        /// How long it had.
        limit: Duration,
    },
    /// The connection failed, or the server refused.
    #[error("the call failed")]
    Failed {
        /// What the client said.
        #[source]
        source: redis::RedisError,
    },
    /// The server answered with something else than was asked for.
    #[error("an answer of another form: {what}")]
    Unexpected {
        /// What was expected.
        what: &'static str,
    },
}
