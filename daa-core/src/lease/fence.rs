//! What keeps out those who held a lease once.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Reaction, Retry};

/// The number of an acquisition of a lease: the later, the higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(u64);

impl FencingToken {
    /// Wraps a number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Stands in front of what a lease protects, and lets nobody pass with a token lower than the highest it has seen.
///
/// This one is for what lives in one process. It must be asked under the same lock as the change that it protects. What
/// is durable keeps the highest token beside its data, and compares in the same transaction.
#[derive(Debug, Default)]
pub struct Fence(AtomicU64);

impl Fence {
    /// A fence that has seen no token.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Lets pass who has the highest token so far.
    ///
    /// # Errors
    /// [`StaleToken`] when there was a higher one.
    pub fn admit(&self, token: FencingToken) -> Result<(), StaleToken> {
        let highest = FencingToken(self.0.fetch_max(token.0, Ordering::AcqRel));
        if highest > token { Err(StaleToken { token, highest }) } else { Ok(()) }
    }
}

/// A token of a lease that another holds by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fencing token {token} is stale: {highest} was here")]
#[non_exhaustive]
pub struct StaleToken {
    /// The token that was shown.
    pub token: FencingToken,
    /// The highest so far.
    pub highest: FencingToken,
}

impl Reaction for StaleToken {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}
