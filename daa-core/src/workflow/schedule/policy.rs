//! What becomes of occurrences that could not start a run in time.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most runs that one look at a schedule starts.
pub const MAX_CATCH_UP: u32 = 1_000;

/// What becomes of occurrences that passed since the schedule was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissedRuns {
    /// Those later than `grace` are skipped; the others start, the latest [`MAX_CATCH_UP`] of them.
    Skip {
        /// How late a run may start. It must cover the time between two looks, or everything is late.
        #[serde(rename = "grace_ms", with = "millis")]
        grace: Duration,
    },
    /// Only the latest starts, however late it is.
    RunOnce,
    /// The latest `at_most` start, in order, however late they are. With [`Overlap::Skip`], which is the default, only
    /// the first of them does, because it is open when the others are looked at: choose [`Overlap::Allow`] with it.
    RunAll {
        /// No more than [`MAX_CATCH_UP`].
        at_most: NonZeroU32,
    },
}

impl Default for MissedRuns {
    /// The latest one.
    fn default() -> Self {
        Self::RunOnce
    }
}

/// What happens when the run of the last occurrence is still open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overlap {
    /// Runs may overlap.
    Allow,
    /// The occurrence is skipped.
    #[default]
    Skip,
    /// The occurrence waits for the end of that run. Only one waits; those that come after it are skipped.
    QueueOne,
}

/// A duration as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
