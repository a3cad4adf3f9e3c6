//! Recurring starts: when a workflow is due, decided without a clock.
//!
//! A [`Schedule`] says when ([`Recurrence`]), what becomes of occurrences that nobody was there to see
//! ([`MissedRuns`]), and what happens when the last run is still open ([`Overlap`]). A [`ScheduleState`] remembers
//! how far the schedule has been considered. [`ScheduleState::due`] looks at both and at a moment, and says what to
//! start; [`ScheduleState::apply`] takes that decision over. Both are pure: record the [`Due`], and the state can be
//! rebuilt by applying the records in order.
//!
//! ```
//! use daa_core::clock::Timestamp;
//! use daa_core::id::ScheduleId;
//! use daa_core::workflow::schedule::{CronSchedule, Schedule, ScheduleState};
//!
//! let nightly = Schedule::new(ScheduleId::new("backup")?, CronSchedule::new("0 2 * * *", "Europe/Berlin")?)?;
//! let created = Timestamp::from_millis(1_774_742_400_000); // 29 March 2026, 00:00 UTC
//! let mut state = ScheduleState::starting_at(created);
//!
//! // In this night the clock goes from 02:00 to 03:00; the run of 02:00 starts at 03:00, which is 01:00 UTC.
//! let due = state.due(&nightly, created);
//! assert_eq!(due.fire, []);
//! assert_eq!(due.next, Some(Timestamp::from_millis(1_774_746_000_000)));
//!
//! let due = state.due(&nightly, Timestamp::from_millis(1_774_746_000_250));
//! assert_eq!(due.fire, [Timestamp::from_millis(1_774_746_000_000)]);
//! assert_eq!(nightly.run_name(due.fire[0]), "backup/1774746000000");
//! state.apply(&due);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Bounds
//!
//! One call looks at no more than a few thousand occurrences, however long nobody called: the latest ones are found
//! by searching backwards from the present, and what was skipped is counted only up to
//! [`MAX_COUNTED`](Skipped::MAX_COUNTED).

mod cron;
mod due;
mod error;
mod every;
mod policy;
mod recurrence;
mod spec;
mod state;
mod zone;

pub use cron::{CronSchedule, MAX_PATTERN_LEN, MAX_ZONE_LEN};
pub use due::{Due, Skipped};
pub use error::ScheduleError;
pub use every::Every;
pub use policy::{MAX_CATCH_UP, MissedRuns, Overlap};
pub use recurrence::Recurrence;
pub use spec::{MAX_SCHEDULE_ID_LEN, Schedule};
pub use state::ScheduleState;
