//! Known dates at which a zone changed its clock. Each case is a day of occurrences, in UTC.

use std::iter;

use daa_core::clock::Timestamp;

use super::{at, cron};

/// The occurrences after `from` and not after `to`, a hundred at most, searched forwards; and backwards, which must find the same.
fn between(pattern: &str, zone: &str, from: &str, to: &str) -> Vec<Timestamp> {
    let schedule = cron(pattern, zone);
    let (from, to) = (at(from), at(to));
    let forwards: Vec<_> = iter::successors(schedule.next_after(from), |&last| schedule.next_after(last))
        .take_while(|&o| o <= to)
        .take(100)
        .collect();
    let before = |&o: &Timestamp| schedule.latest_by(Timestamp::from_millis(o.as_millis() - 1));
    let mut backwards: Vec<_> =
        iter::successors(schedule.latest_by(to), before).take_while(|&o| o > from).take(100).collect();
    backwards.reverse();
    assert_eq!(forwards, backwards, "{pattern} in {zone}");
    forwards
}

#[track_caller]
fn occurs(pattern: &str, zone: &str, from: &str, to: &str, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|text| at(text)).collect();
    assert_eq!(between(pattern, zone, from, to), expected, "{pattern} in {zone}");
}

// Berlin, 29 March 2026: 02:00 CET becomes 03:00 CEST, at 01:00 UTC.

fn in_berlin_in_spring(pattern: &str, expected: &[&str]) {
    occurs(pattern, "Europe/Berlin", "2026-03-28T22:30:00Z", "2026-03-29T04:00:00Z", expected);
}

#[test]
fn a_time_in_the_gap_occurs_once_when_the_gap_ends() {
    in_berlin_in_spring("30 2 * * *", &["2026-03-29T01:00:00Z"]);
    in_berlin_in_spring("0 2 * * *", &["2026-03-29T01:00:00Z"]);
    in_berlin_in_spring("59 59 2 * * *", &["2026-03-29T01:00:00Z"]);
}

#[test]
fn several_times_in_the_gap_occur_once_together() {
    in_berlin_in_spring("*/10 2 * * *", &["2026-03-29T01:00:00Z"]);
    in_berlin_in_spring("15 2,3 * * *", &["2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"]);
    in_berlin_in_spring("0 2,3 * * *", &["2026-03-29T01:00:00Z"]);
}

#[test]
fn a_time_outside_the_gap_does_not_move() {
    in_berlin_in_spring("30 1 * * *", &["2026-03-29T00:30:00Z"]);
    in_berlin_in_spring("30 3 * * *", &["2026-03-29T01:30:00Z"]);
}

#[test]
fn the_gap_brings_no_occurrence_on_a_day_that_the_pattern_does_not_name() {
    in_berlin_in_spring("30 2 * * MON", &[]);
    in_berlin_in_spring("30 2 28 3 *", &[]);
}

#[test]
fn an_hourly_pattern_occurs_every_real_hour_in_spring() {
    in_berlin_in_spring(
        "0 * * * *",
        &[
            "2026-03-28T23:00:00Z",
            "2026-03-29T00:00:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T02:00:00Z",
            "2026-03-29T03:00:00Z",
            "2026-03-29T04:00:00Z",
        ],
    );
}

#[test]
fn every_second_hour_occurs_when_the_clock_shows_an_even_one() {
    in_berlin_in_spring(
        "0 */2 * * *",
        &["2026-03-28T23:00:00Z", "2026-03-29T02:00:00Z", "2026-03-29T04:00:00Z"],
    );
}

// Berlin, 25 October 2026: 03:00 CEST becomes 02:00 CET, at 01:00 UTC.

fn in_berlin_in_autumn(pattern: &str, expected: &[&str]) {
    occurs(pattern, "Europe/Berlin", "2026-10-24T22:30:00Z", "2026-10-25T03:00:00Z", expected);
}

#[test]
fn a_time_that_is_shown_twice_occurs_once() {
    in_berlin_in_autumn("30 2 * * *", &["2026-10-25T00:30:00Z"]);
    in_berlin_in_autumn("0 2,3 * * *", &["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"]);
    in_berlin_in_autumn("*/30 2 * * *", &["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"]);
}

#[test]
fn in_the_second_showing_the_next_occurrence_is_behind_it() {
    for minute in ["01:00:00", "01:29:59", "01:30:00", "01:59:59"] {
        let schedule = cron("30 2,3 * * *", "Europe/Berlin");
        let moment = at(&format!("2026-10-25T{minute}Z"));
        assert_eq!(schedule.next_after(moment), Some(at("2026-10-25T02:30:00Z")), "{minute}");
        assert_eq!(schedule.latest_by(moment), Some(at("2026-10-25T00:30:00Z")), "{minute}");
    }
}

#[test]
fn an_hourly_pattern_occurs_every_real_hour_in_autumn() {
    in_berlin_in_autumn(
        "0 * * * *",
        &[
            "2026-10-24T23:00:00Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T02:00:00Z",
            "2026-10-25T03:00:00Z",
        ],
    );
}

#[test]
fn a_pattern_of_minutes_goes_on_through_the_hour_that_is_shown_twice() {
    let found = between("*/15 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z");
    let gaps: Vec<_> = found.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect();
    assert_eq!(gaps, [900; 7]);
}

#[test]
fn new_york_changes_on_other_days_and_in_other_hours() {
    let spring = ("2026-03-08T05:30:00Z", "2026-03-08T08:30:00Z");
    occurs("30 2 * * *", "America/New_York", spring.0, spring.1, &["2026-03-08T07:00:00Z"]);
    let autumn = ("2026-11-01T04:30:00Z", "2026-11-01T08:30:00Z");
    occurs("30 1 * * *", "America/New_York", autumn.0, autumn.1, &["2026-11-01T05:30:00Z"]);
    occurs(
        "30 * * * *",
        "America/New_York",
        autumn.0,
        autumn.1,
        &["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z", "2026-11-01T08:30:00Z"],
    );
}

#[test]
fn kolkata_never_changes_and_stands_at_half_past() {
    let days = ("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
    occurs("0 2 * * *", "Asia/Kolkata", days.0, days.1, &["2026-03-28T20:30:00Z", "2026-03-29T20:30:00Z"]);
    occurs(
        "0 * 29 3 *",
        "Asia/Kolkata",
        "2026-03-28T18:00:00Z",
        "2026-03-28T20:00:00Z",
        &["2026-03-28T18:30:00Z", "2026-03-28T19:30:00Z"],
    );
}

#[test]
fn lord_howe_changes_by_half_an_hour() {
    // 4 October 2026: 02:00 becomes 02:30, at 15:30 UTC of the day before.
    let spring = ("2026-10-03T14:00:00Z", "2026-10-03T17:00:00Z");
    occurs("15 2 * * *", "Australia/Lord_Howe", spring.0, spring.1, &["2026-10-03T15:30:00Z"]);
    occurs("45 2 * * *", "Australia/Lord_Howe", spring.0, spring.1, &["2026-10-03T15:45:00Z"]);
    // The clock does not show 02:00 on that day, so a full hour is an hour and a half away.
    occurs(
        "0 * * * *",
        "Australia/Lord_Howe",
        spring.0,
        spring.1,
        &["2026-10-03T14:30:00Z", "2026-10-03T16:00:00Z", "2026-10-03T17:00:00Z"],
    );
    // 5 April 2026: 02:00 becomes 01:30, at 15:00 UTC of the day before.
    let autumn = ("2026-04-04T14:00:00Z", "2026-04-04T16:30:00Z");
    occurs("45 1 * * *", "Australia/Lord_Howe", autumn.0, autumn.1, &["2026-04-04T14:45:00Z"]);
    occurs("15 1 * * *", "Australia/Lord_Howe", autumn.0, autumn.1, &["2026-04-04T14:15:00Z"]);
    occurs(
        "45 * * * *",
        "Australia/Lord_Howe",
        autumn.0,
        autumn.1,
        &["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z", "2026-04-04T16:15:00Z"],
    );
}

#[test]
fn a_midnight_that_does_not_exist_is_the_end_of_the_gap() {
    // Sao Paulo, 4 November 2018: 00:00 becomes 01:00, at 03:00 UTC.
    let days = ("2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z");
    occurs("@daily", "America/Sao_Paulo", days.0, days.1, &["2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"]);
    occurs("0 0 * * SUN", "America/Sao_Paulo", days.0, days.1, &["2018-11-04T03:00:00Z"]);
}

#[test]
fn apia_left_out_a_whole_day() {
    // 30 December 2011 does not exist there; the 31st began at 10:00 UTC of the 30th.
    let days = ("2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z");
    occurs(
        "0 12 * * *",
        "Pacific/Apia",
        days.0,
        days.1,
        &["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"],
    );
    occurs("0 12 30 12 *", "Pacific/Apia", days.0, days.1, &["2011-12-30T10:00:00Z"]);
    occurs("0 * 30 12 *", "Pacific/Apia", days.0, days.1, &[]);
}

#[test]
fn the_rules_go_on_beyond_the_years_that_are_tabulated() {
    occurs(
        "30 2 * * *",
        "Europe/Berlin",
        "2090-03-25T12:00:00Z",
        "2090-03-26T12:00:00Z",
        &["2090-03-26T01:00:00Z"],
    );
    occurs(
        "30 2 * * *",
        "Europe/Berlin",
        "2090-10-28T12:00:00Z",
        "2090-10-29T12:00:00Z",
        &["2090-10-29T00:30:00Z"],
    );
}
