//! From the times that a clock on the wall shows to moments, and back.
//!
//! The cron library searches times on the wall, where nothing is ever changed; this file alone knows of changes of
//! the clock. (The library can search moments itself, but then a list of two hours occurs twice in autumn and not at
//! all in spring, and a day that a zone leaves out, as Samoa did, ends the search with an error.)

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp as Moment};

use crate::clock::Timestamp;

/// How many changes of the clock one search passes. Zones change at most a few times a year, and the rarest pattern
/// (29 February on one weekday) waits 40 years.
const MAX_CHANGES: usize = 400;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// What a pattern means where the clock is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Each time on the wall occurs once.
    TimesOfDay,
    /// Each moment at which the wall shows a match occurs.
    PassingTime,
}

#[derive(Clone, Debug)]
pub(super) struct Walker {
    cron: Cron,
    zone: TimeZone,
    meaning: Meaning,
}

impl Walker {
    pub(super) fn new(cron: Cron, zone: TimeZone) -> Self {
        let meaning =
            if cron.pattern.hours.from_wildcard { Meaning::PassingTime } else { Meaning::TimesOfDay };
        Self { cron, zone, meaning }
    }

    pub(super) fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let from = to_moment(moment)?;
        to_timestamp(match self.meaning {
            Meaning::TimesOfDay => self.next_time_of_day(from),
            Meaning::PassingTime => self.next_match(from),
        }?)
    }

    pub(super) fn latest_by(&self, moment: Timestamp) -> Option<Timestamp> {
        let by = to_moment(moment)?;
        to_timestamp(match self.meaning {
            Meaning::TimesOfDay => self.latest_time_of_day(by),
            Meaning::PassingTime => self.latest_match(by),
        }?)
    }

    /// The order of times on the wall is the order of their moments, except in the second showing of a time, whose
    /// occurrences all lie in the first showing: the search goes on where the second showing ends.
    fn next_time_of_day(&self, from: Moment) -> Option<Moment> {
        let wall = match self.end_of_second_showing(from) {
            Some(end) => self.cron_next(end, true),
            None => self.cron_next(self.zone.to_datetime(from), false),
        };
        self.moment_of(wall?)
    }

    fn latest_time_of_day(&self, by: Moment) -> Option<Moment> {
        let wall = match self.end_of_second_showing(by) {
            Some(end) => self.cron_latest(end, false),
            None => self.cron_latest(self.zone.to_datetime(by), true),
        };
        self.moment_of(wall?)
    }

    /// Between two changes of the clock, the wall and time run in step.
    fn next_match(&self, from: Moment) -> Option<Moment> {
        let (mut from, mut inclusive) = (from, false);
        for _ in 0..MAX_CHANGES {
            let offset = self.zone.to_offset(from);
            // No match on the wall from here on: a change cannot bring one, because patterns name no years.
            let wall = self.cron_next(offset.to_datetime(from), inclusive)?;
            let found = offset.to_timestamp(wall).ok()?;
            match self.change_after(from) {
                Some(change) if change <= found => (from, inclusive) = (change, true),
                _ => return Some(found),
            }
        }
        None
    }

    fn latest_match(&self, by: Moment) -> Option<Moment> {
        let mut by = by;
        for _ in 0..MAX_CHANGES {
            let offset = self.zone.to_offset(by);
            let wall = self.cron_latest(offset.to_datetime(by), true)?;
            let found = offset.to_timestamp(wall).ok()?;
            match self.change_by(by) {
                Some(change) if found < change => by = change.checked_sub(SECOND).ok()?,
                _ => return Some(found),
            }
        }
        None
    }

    /// The moment of a time on the wall: its first showing, or the end of the gap that it falls into.
    fn moment_of(&self, wall: DateTime) -> Option<Moment> {
        match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok(),
            AmbiguousOffset::Gap { before, .. } => self.change_by(before.to_timestamp(wall).ok()?),
        }
    }

    /// Where the wall stood when it was set back, if it shows the time of `moment` for the second time.
    fn end_of_second_showing(&self, moment: Moment) -> Option<DateTime> {
        match self.zone.to_ambiguous_timestamp(self.zone.to_datetime(moment)).offset() {
            AmbiguousOffset::Fold { before, after } if self.zone.to_offset(moment) == after => {
                Some(before.to_datetime(self.change_by(moment)?))
            }
            _ => None,
        }
    }

    fn change_after(&self, moment: Moment) -> Option<Moment> {
        self.zone.following(moment).next().map(|change| change.timestamp())
    }

    fn change_by(&self, moment: Moment) -> Option<Moment> {
        self.zone.preceding(moment.checked_add(SECOND).ok()?).next().map(|change| change.timestamp())
    }

    // The only error left here is that the search came to the end of the calendar.

    fn cron_next(&self, wall: DateTime, inclusive: bool) -> Option<DateTime> {
        self.cron.find_next_occurrence(&wall, inclusive).ok()
    }

    fn cron_latest(&self, wall: DateTime, inclusive: bool) -> Option<DateTime> {
        self.cron.find_previous_occurrence(&wall, inclusive).ok()
    }
}

/// Down to the whole second: no pattern is finer.
fn to_moment(moment: Timestamp) -> Option<Moment> {
    Moment::from_second(i64::try_from(moment.as_millis() / 1_000).ok()?).ok()
}

fn to_timestamp(moment: Moment) -> Option<Timestamp> {
    u64::try_from(moment.as_millisecond()).ok().map(Timestamp::from_millis)
}
