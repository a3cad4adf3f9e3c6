//! Recurring starts: changes of the clock, missed runs, overlap, and the laws of the state machine.

mod clock_changes;
mod laws;
mod parsing;
mod state;

use daa_core::clock::Timestamp;
use daa_core::workflow::schedule::CronSchedule;

/// The moment of an RFC 3339 time.
fn at(text: &str) -> Timestamp {
    let moment: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_millis(moment.as_millisecond().try_into().unwrap())
}

fn cron(pattern: &str, zone: &str) -> CronSchedule {
    CronSchedule::new(pattern, zone).unwrap()
}
