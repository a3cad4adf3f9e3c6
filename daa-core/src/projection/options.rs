//! What can be chosen about a projector.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::bus::Backoff;
use crate::event::{OnPoison, PageSize};

/// What becomes of events that were erased before a model came to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnErased {
    /// They are passed over and counted. Right where whoever erases writes a snapshot first, which stands later in the
    /// stream, and the projection knows what to do with it.
    #[default]
    PassOver,
    /// The projector ends with an error that names the first: the model would not be what the events were.
    Stop,
}

/// What can be chosen about a [`Projector`](super::Projector).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectorOptions {
    pub(super) batch: NonZeroUsize,
    pub(super) takeover_after: Duration,
    pub(super) backoff: Backoff,
    pub(super) on_poison: OnPoison,
    pub(super) on_erased: OnErased,
}

impl Default for ProjectorOptions {
    /// Up to 500 events in a transaction, takes over after five seconds, waits up to 100 ms after the first failure and
    /// up to five seconds after many, stops at poison, passes over what was erased.
    fn default() -> Self {
        Self {
            batch: NonZeroUsize::MIN.saturating_add(499),
            takeover_after: Duration::from_secs(5),
            backoff: Backoff::doubling(Duration::from_millis(100), Duration::from_secs(5)),
            on_poison: OnPoison::default(),
            on_erased: OnErased::default(),
        }
    }
}

impl ProjectorOptions {
    /// How many events are applied in one transaction. In `1..=`[`PageSize::MAX`].
    #[must_use]
    pub fn with_batch(mut self, events: usize) -> Self {
        self.batch = NonZeroUsize::new(events.min(PageSize::MAX)).unwrap_or(NonZeroUsize::MIN);
        self
    }

    /// How long one that stands by lets a model stay behind before it takes the one that kept it for dead. At least
    /// 30 ms.
    #[must_use]
    pub fn with_takeover_after(mut self, patience: Duration) -> Self {
        self.takeover_after = patience.max(Duration::from_millis(30));
        self
    }

    /// The longest waits between tries while store or model are away; each wait is uniform between zero and that (full
    /// jitter).
    #[must_use]
    pub const fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// What becomes of an event that the projection refuses.
    #[must_use]
    pub const fn with_on_poison(mut self, on_poison: OnPoison) -> Self {
        self.on_poison = on_poison;
        self
    }

    /// What becomes of events that were erased before the model came to them.
    #[must_use]
    pub const fn with_on_erased(mut self, on_erased: OnErased) -> Self {
        self.on_erased = on_erased;
        self
    }
}
