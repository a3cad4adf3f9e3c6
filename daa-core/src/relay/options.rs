//! What can be chosen about a relay.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::bus::Backoff;
use crate::event::{OnPoison, Position};

/// The most events of a batch.
const MAX_BATCH: usize = 4_096;
/// The most publications at a time.
const MAX_IN_FLIGHT: usize = 1_024;

/// What can be chosen about a [`Relay`](super::Relay).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayOptions {
    pub(super) batch: NonZeroUsize,
    pub(super) in_flight: NonZeroUsize,
    pub(super) takeover_after: Duration,
    pub(super) backoff: Backoff,
    pub(super) on_poison: OnPoison,
    pub(super) start: Position,
}

impl Default for RelayOptions {
    /// Batches of up to 256 events, 64 publications at a time, takes over after five seconds, waits up to 100 ms after
    /// the first failure and up to five seconds after many, stops at poison, and begins with the first event.
    fn default() -> Self {
        Self {
            batch: NonZeroUsize::MIN.saturating_add(255),
            in_flight: NonZeroUsize::MIN.saturating_add(63),
            takeover_after: Duration::from_secs(5),
            backoff: Backoff::doubling(Duration::from_millis(100), Duration::from_secs(5)),
            on_poison: OnPoison::default(),
            start: Position::START,
        }
    }
}

impl RelayOptions {
    /// How many events are published before the position is recorded: so many are repeated after a crash. In
    /// `1..=4,096`.
    #[must_use]
    pub fn with_batch(mut self, events: usize) -> Self {
        self.batch = NonZeroUsize::new(events.min(MAX_BATCH)).unwrap_or(NonZeroUsize::MIN);
        self
    }

    /// How many messages, of different keys, may wait for their confirmation at once. In `1..=1,024`.
    #[must_use]
    pub fn with_in_flight(mut self, messages: usize) -> Self {
        self.in_flight = NonZeroUsize::new(messages.min(MAX_IN_FLIGHT)).unwrap_or(NonZeroUsize::MIN);
        self
    }

    /// How long one that stands by lets events wait before it takes the active one for dead. At least 30 ms.
    #[must_use]
    pub fn with_takeover_after(mut self, patience: Duration) -> Self {
        self.takeover_after = patience.max(Duration::from_millis(30));
        self
    }

    /// The longest waits between tries to publish; each wait is uniform between zero and that (full jitter).
    #[must_use]
    pub const fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// What becomes of an event that no bus takes: its payload is larger than
    /// [`MAX_PAYLOAD`](crate::bus::MAX_PAYLOAD), or the mapping cannot map it.
    #[must_use]
    pub const fn with_on_poison(mut self, on_poison: OnPoison) -> Self {
        self.on_poison = on_poison;
        self
    }

    /// Behind which position a relay begins that has never run. One that has goes on where it was.
    #[must_use]
    pub const fn with_start(mut self, after: Position) -> Self {
        self.start = after;
        self
    }
}
