//! How long an action counts.

use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::digest::DigestBuilder;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

/// How long an action counts in a window.
#[derive(Clone, Debug)]
pub(crate) enum Extent {
    /// Until so much time has passed.
    Sliding(Duration),
    /// Until the day, week or month ends in which it was permitted.
    Calendar {
        period: Period,
        /// As it was written: a name of the time zone database.
        name: String,
        zone: TimeZone,
    },
}

/// What a calendar is divided into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    Day,
    /// From Monday on.
    Week,
    Month,
}

impl Period {
    pub(crate) const NAMES: &'static str = "day, week, month";

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

impl Extent {
    /// The first moment that still counts now.
    pub(crate) fn earliest(&self, now: Timestamp) -> Timestamp {
        match self {
            // What was permitted exactly so long ago has left it.
            Self::Sliding(span) => {
                let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
                now.as_millis()
                    .checked_sub(span)
                    .map_or(Timestamp::EPOCH, |ago| Timestamp::from_millis(ago + 1))
            }
            // Beyond the end of the calendar, everything counts.
            Self::Calendar { period, zone, .. } => begin(*period, zone, now).unwrap_or(Timestamp::EPOCH),
        }
    }

    pub(crate) fn describe(&self, out: &mut DigestBuilder) {
        match self {
            Self::Sliding(span) => out.add(&span.as_millis().to_le_bytes()),
            Self::Calendar { period, name, .. } => {
                out.add(b"calendar");
                out.add(period.name().as_bytes());
                out.add(name.as_bytes());
            }
        }
    }
}

/// When the period began that `now` is in; `None` beyond the years that the calendar covers.
///
/// A day begins with its first moment, also where that is not midnight.
fn begin(period: Period, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let millis = i64::try_from(now.as_millis()).ok()?;
    let date = jiff::Timestamp::from_millisecond(millis).ok()?.to_zoned(zone.clone()).date();
    let first = match period {
        Period::Day => date,
        Period::Week if date.weekday() == Weekday::Monday => date,
        Period::Week => date.nth_weekday(-1, Weekday::Monday).ok()?,
        Period::Month => date.first_of_month(),
    };
    let begin = first.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond();
    // Before 1970 there is nothing that counts.
    Some(Timestamp::from_millis(u64::try_from(begin).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_millis(moment.as_millisecond().try_into().unwrap())
    }

    fn earliest(period: Period, zone: &str, now: &str) -> Timestamp {
        let calendar = Extent::Calendar { period, name: zone.to_owned(), zone: TimeZone::get(zone).unwrap() };
        calendar.earliest(at(now))
    }

    #[test]
    fn a_period_begins_where_the_calendar_of_its_zone_says() {
        use Period::{Day, Month, Week};
        for (period, zone, now, begin) in [
            (Day, "UTC", "2026-11-21T22:59:59.999Z", "2026-11-21T00:00:00Z"),
            (Day, "Europe/Berlin", "2026-11-21T22:59:59.999Z", "2026-11-20T23:00:00Z"),
            (Day, "Europe/Berlin", "2026-11-21T23:00:00Z", "2026-11-21T23:00:00Z"),
            // The days on which the clock is changed have 23 and 25 hours.
            (Day, "Europe/Berlin", "2026-03-29T21:59:59Z", "2026-03-28T23:00:00Z"),
            (Day, "Europe/Berlin", "2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z"),
            // In Beirut the clock goes from 0:00 to 1:00: there is no midnight.
            (Day, "Asia/Beirut", "2025-03-30T10:00:00Z", "2025-03-29T22:00:00Z"),
            (Week, "UTC", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00Z"),
            (Week, "UTC", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Month, "America/New_York", "2026-12-01T04:59:59Z", "2026-11-01T04:00:00Z"),
            (Month, "America/New_York", "2026-12-01T05:00:00Z", "2026-12-01T05:00:00Z"),
            (Month, "UTC", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(earliest(period, zone, now), at(begin), "{period:?} in {zone} at {now}");
        }
    }

    #[test]
    fn what_was_exactly_so_long_ago_has_left_a_span() {
        let span = Extent::Sliding(Duration::from_millis(10));
        let earliest = |now| span.earliest(Timestamp::from_millis(now)).as_millis();
        assert_eq!([0, 9, 10, 11].map(earliest), [0, 0, 1, 2]);
    }
}
