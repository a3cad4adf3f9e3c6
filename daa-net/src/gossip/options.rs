//! What can be chosen about gossip.

use std::time::Duration;

use super::message::MAX_PAYLOAD;
use crate::quota::Rate;

/// What can be chosen about gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GossipOptions {
    pub(super) max_payload: usize,
    pub(super) lifetime: Duration,
    pub(super) per_second: u64,
    pub(super) per_author: u64,
    pub(super) seen: usize,
    pub(super) cached: usize,
}

impl Default for GossipOptions {
    /// Payloads of 64 KiB; two minutes; 200 messages a second from each peer and 100 from each author; 100,000 messages
    /// remembered, and 32 MiB of them kept for others.
    fn default() -> Self {
        Self {
            max_payload: 64 << 10,
            lifetime: Duration::from_secs(120),
            per_second: 200,
            per_author: 100,
            seen: 100_000,
            cached: 32 << 20,
        }
    }
}

impl GossipOptions {
    /// The most bytes of a payload that is taken, up to [`MAX_PAYLOAD`]; the same for all nodes of a network.
    #[must_use]
    pub fn with_max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes.min(MAX_PAYLOAD);
        self
    }

    pub(crate) const fn max_payload(&self) -> usize {
        self.max_payload
    }

    /// What a peer is sent unasked: less than it takes, because what stood still on its way comes at once, and there is more to say
    /// than messages.
    pub(super) const fn pushing(&self) -> Rate {
        Rate::per_second(self.per_second * 3 / 4, self.per_second * 2)
    }

    /// How long a message is passed on after it was issued, and recognised; the same for all nodes of a network.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// How many messages a peer may send in a second, over a while, and how many an author may have; five times as many at once. The
    /// same for all nodes of a network: each keeps to what the others take.
    #[must_use]
    pub fn with_rates(mut self, peer: u64, author: u64) -> Self {
        (self.per_second, self.per_author) = (peer.max(1), author.max(1));
        self
    }

    /// How many messages are remembered, so that none is delivered twice. When there are more in a lifetime, the oldest ones are
    /// not taken any more.
    #[must_use]
    pub fn with_seen(mut self, messages: usize) -> Self {
        self.seen = messages.max(1);
        self
    }

    /// How many bytes of messages are kept for those who have missed them.
    #[must_use]
    pub fn with_cached(mut self, bytes: usize) -> Self {
        self.cached = bytes;
        self
    }
}
