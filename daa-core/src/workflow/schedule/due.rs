//! What is to be started, at one moment.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The decision about one schedule at one moment.
///
/// Plain data, so that it can be recorded; what it says takes hold in
/// [`ScheduleState::apply`](super::ScheduleState::apply).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Due {
    /// The occurrences to start now, in this order. Never one that was in an earlier decision.
    pub fire: Vec<Timestamp>,
    /// The occurrence that waits for the end of the open run.
    pub queued: Option<Timestamp>,
    /// How many occurrences passed and will never start.
    pub skipped: Skipped,
    /// Occurrences until here have been considered.
    pub considered_to: Timestamp,
    /// When to look again, if the end of a run gives no reason before. `None` while paused, and when there is no
    /// further occurrence.
    pub next: Option<Timestamp>,
}

impl Due {
    /// Whether nothing is started, queued anew or skipped; such a decision need not be recorded.
    #[must_use]
    pub fn is_quiet(&self, state: &super::ScheduleState) -> bool {
        self.fire.is_empty() && self.skipped == Skipped::NONE && self.queued == state.queued()
    }
}

/// How many occurrences were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// So many.
    Exactly(u64),
    /// So many and perhaps more: counting stopped.
    AtLeast(u64),
}

impl Skipped {
    /// Not one.
    pub const NONE: Self = Self::Exactly(0);
    /// Where counting missed occurrences stops.
    pub const MAX_COUNTED: u64 = 1_000;

    /// Those, and `more` that are known.
    pub(super) const fn plus(self, more: u64) -> Self {
        match self {
            Self::Exactly(count) => Self::Exactly(count.saturating_add(more)),
            Self::AtLeast(count) => Self::AtLeast(count.saturating_add(more)),
        }
    }
}
