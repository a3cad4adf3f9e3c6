//! What can be wrong with the description of a schedule.

use crate::fault::{Fault, Reaction, Retry};

use super::cron::{MAX_PATTERN_LEN, MAX_ZONE_LEN};
use super::policy::MAX_CATCH_UP;
use super::spec::MAX_SCHEDULE_ID_LEN;

/// A schedule that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// A cron pattern of more than [`MAX_PATTERN_LEN`] bytes.
    #[error("a cron pattern has at most {MAX_PATTERN_LEN} bytes, this one has {len}")]
    PatternTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A cron pattern that does not parse.
    #[error("cron pattern {pattern:?}: {reason}; a pattern is: (second) minute hour day month weekday")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The name of a time zone of more than [`MAX_ZONE_LEN`] bytes.
    #[error("the name of a time zone has at most {MAX_ZONE_LEN} bytes, this one has {len}")]
    ZoneTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// No such time zone.
    #[error(
        "there is no time zone {zone:?}; it is named as in the IANA database, such as Europe/Berlin or UTC"
    )]
    UnknownZone {
        /// The name.
        zone: String,
    },
    /// An interval of nothing, or one that is not whole milliseconds.
    #[error("an interval is one or more whole milliseconds")]
    Period,
    /// Neither a pattern with its zone nor an interval, or parts of both.
    #[error("a recurrence is either cron with zone, or every_ms with or without anchor_ms")]
    Shape,
    /// More missed runs at once than [`MAX_CATCH_UP`].
    #[error("at most {MAX_CATCH_UP} missed runs can be made up for at once, not {at_most}")]
    CatchUp {
        /// How many were asked for.
        at_most: u32,
    },
    /// An id that leaves no room for the time of an occurrence behind it.
    #[error("the id of a schedule has at most {MAX_SCHEDULE_ID_LEN} bytes, this one has {len}")]
    IdTooLong {
        /// Its length in bytes.
        len: usize,
    },
}

impl Reaction for ScheduleError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}
