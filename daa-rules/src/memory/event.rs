//! What happens to a count.

use daa_core::clock::Timestamp;
use daa_core::event::{DecodeError, NewEvent, RecordedEvent};
use daa_core::id::{ActionId, EventKind};
use serde::{Deserialize, Serialize};

use super::quantity::Quantity;
use super::sequence::Trace;

/// The name that the events of counts are stored under.
pub(crate) const COUNT: &str = "rules.count.v1";

/// What happens to one count: that of a window, or of what was seen, for one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CountEvent {
    /// An action was permitted.
    Counted(Entry),
    /// It took effect, and this is what counts of it.
    Settled { action: ActionId, amount: Quantity },
    /// It took no effect, and does not count.
    Released { action: ActionId },
    /// It took no effect, and that is what matters.
    Failed { action: ActionId },
    /// Everything that still counts, in several events where there is much of it; what came before is not needed.
    Kept {
        /// Whether these are the first of them.
        first: bool,
        /// The latest moment at which anything was counted.
        latest: Timestamp,
        entries: Vec<Entry>,
    },
}

/// One action that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) action: ActionId,
    /// When it was permitted, by a time that never goes back in the stream.
    pub(crate) at: Timestamp,
    pub(crate) amount: Quantity,
    /// Whether it has not ended yet.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub(crate) open: bool,
    /// Whether what it costs in the end is what counts.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) by_cost: bool,
    /// What it was in a sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<Trace>,
}

impl Entry {
    /// Whether it took no effect, which is written down only where it matters.
    pub(crate) fn is_failed(&self) -> bool {
        self.trace.as_ref().is_some_and(|trace| trace.failed)
    }
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_true(flag: &bool) -> bool {
    *flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl CountEvent {
    /// `None` for an event that is none of these, such as one that was erased.
    pub(crate) fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        if event.kind.as_str() == COUNT { event.json().map(Some) } else { Ok(None) }
    }

    pub(crate) fn to_new(&self, at: Timestamp) -> Result<NewEvent, DecodeError> {
        NewEvent::json(kind(), at, self)
    }
}

const fn kind() -> EventKind {
    EventKind::constant(COUNT)
}
