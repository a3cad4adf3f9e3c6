//! What is read, and what is refused.

use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::fault::{Fault, Reaction};
use daa_core::id::ScheduleId;
use daa_core::workflow::MAX_RUN_ID;
use daa_core::workflow::schedule::{
    CronSchedule, Every, MAX_CATCH_UP, MAX_SCHEDULE_ID_LEN, MissedRuns, Overlap, Recurrence, Schedule,
    ScheduleError,
};
use serde_json::json;

use super::{at, cron};

#[test]
fn reads_five_fields_six_fields_and_names() {
    let from = at("2026-01-01T00:00:00Z");
    for (pattern, next) in [
        ("0 2 * * *", "2026-01-01T02:00:00Z"),
        ("30 0 2 * * *", "2026-01-01T02:00:30Z"),
        ("@daily", "2026-01-02T00:00:00Z"),
        ("0 0 L * *", "2026-01-31T00:00:00Z"),
        ("0 0 * * MON#2", "2026-01-12T00:00:00Z"),
        ("0 0 13 * FRI", "2026-01-02T00:00:00Z"),
        ("0 0 13 * +FRI", "2026-02-13T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("0 0 29 2 +MON", "2044-02-29T00:00:00Z"),
    ] {
        assert_eq!(cron(pattern, "UTC").next_after(from), Some(at(next)), "{pattern}");
    }
}

#[test]
fn refuses_a_pattern_and_says_what_is_wrong() {
    for pattern in [
        "",
        "*",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "a * * * *",
        "* * * ſEP *",
    ] {
        let error = CronSchedule::new(pattern, "UTC").unwrap_err();
        assert!(
            matches!(&error, ScheduleError::Pattern { pattern: named, .. } if named == pattern),
            "{error}"
        );
        assert_eq!(error.fault(), Fault::Caller);
    }
    for (pattern, reason) in [
        ("60 * * * *", "minute \"60\": number out of bounds"),
        ("0 0 24 * * *", "hour \"24\": number out of bounds"),
        ("* * * XII *", "month \"XII\": contains illegal character 'X' in part 'XII'"),
        ("* * *", "it has 3 fields, not 5 or 6"),
        ("0,,5 * * * *", "an item of a list is empty"),
        (", * * * *", "an item of a list is empty"),
    ] {
        let expected = ScheduleError::Pattern { pattern: pattern.to_owned(), reason: reason.to_owned() };
        assert_eq!(CronSchedule::new(pattern, "UTC").unwrap_err(), expected);
    }
    let long = "0,".repeat(129);
    assert_eq!(CronSchedule::new(&long, "UTC").unwrap_err(), ScheduleError::PatternTooLong { len: 258 });
}

#[test]
fn refuses_a_zone_that_is_not_there() {
    let unknown = |zone: &str| ScheduleError::UnknownZone { zone: zone.to_owned() };
    for zone in ["", "Mars/Olympus", "+02:00", "Etc/Unknown", "../UTC"] {
        assert_eq!(CronSchedule::new("0 2 * * *", zone).unwrap_err(), unknown(zone));
    }
    assert_eq!(
        CronSchedule::new("0 2 * * *", &"z".repeat(65)).unwrap_err(),
        ScheduleError::ZoneTooLong { len: 65 }
    );
}

#[test]
fn spells_the_zone_as_the_database_does() {
    assert_eq!(cron("0 2 * * *", "europe/berlin"), cron(" 0 2 * * * ", "Europe/Berlin"));
}

#[test]
fn what_never_occurs_has_no_next_occurrence() {
    for zone in ["UTC", "Europe/Berlin"] {
        for pattern in ["0 0 30 2 *", "0 * 30 2 *", "0 0 31 4,6,9,11 *"] {
            let never = cron(pattern, zone);
            assert_eq!(never.next_after(at("2026-01-01T00:00:00Z")), None, "{pattern}");
            assert_eq!(never.latest_by(at("2026-01-01T00:00:00Z")), None, "{pattern}");
        }
    }
}

#[test]
fn the_end_of_time_has_no_next_occurrence() {
    for pattern in ["0 2 * * *", "0 * * * *"] {
        assert_eq!(cron(pattern, "UTC").next_after(Timestamp::from_millis(u64::MAX)), None);
        assert_eq!(cron(pattern, "Europe/Berlin").next_after(at("9999-12-30T00:00:00Z")), None);
    }
    for pattern in ["0 2 * * *", "30 * * * *"] {
        assert_eq!(cron(pattern, "America/New_York").latest_by(Timestamp::EPOCH), None);
    }
}

#[test]
fn an_interval_counts_from_its_anchor() {
    let millis = Timestamp::from_millis;
    let every = Every::new(Duration::from_millis(10)).unwrap().with_anchor(millis(25));
    assert_eq!(every.next_after(millis(0)), Some(millis(25)));
    assert_eq!(every.next_after(millis(24)), Some(millis(25)));
    assert_eq!(every.next_after(millis(25)), Some(millis(35)));
    assert_eq!(every.next_after(millis(u64::MAX)), None);
    assert_eq!(every.latest_by(millis(24)), None);
    assert_eq!(every.latest_by(millis(25)), Some(millis(25)));
    assert_eq!(every.latest_by(millis(44)), Some(millis(35)));
}

#[test]
fn an_interval_is_whole_milliseconds() {
    for period in [Duration::ZERO, Duration::from_nanos(1_500_000), Duration::MAX] {
        assert_eq!(Every::new(period), Err(ScheduleError::Period));
    }
}

fn nightly() -> Schedule {
    Schedule::new(ScheduleId::new("backup").unwrap(), cron("0 2 * * *", "Europe/Berlin")).unwrap()
}

#[test]
fn a_schedule_is_written_as_people_write_it() {
    let full = nightly()
        .with_missed(MissedRuns::Skip { grace: Duration::from_secs(60) })
        .unwrap()
        .with_overlap(Overlap::QueueOne);
    let text = json!({
        "id": "backup",
        "recurrence": { "cron": "0 2 * * *", "zone": "Europe/Berlin" },
        "missed": { "skip": { "grace_ms": 60_000 } },
        "overlap": "queue_one",
    });
    assert_eq!(serde_json::to_value(&full).unwrap(), text);
    assert_eq!(serde_json::from_value::<Schedule>(text).unwrap(), full);
    let short = json!({ "id": "backup", "recurrence": { "cron": "0 2 * * *", "zone": "Europe/Berlin" } });
    assert_eq!(serde_json::from_value::<Schedule>(short).unwrap(), nightly());
}

#[test]
fn an_interval_is_written_in_milliseconds() {
    let every = Recurrence::from(Every::new(Duration::from_secs(60)).unwrap());
    let text = json!({ "every_ms": 60_000, "anchor_ms": 0 });
    assert_eq!(serde_json::to_value(&every).unwrap(), text);
    assert_eq!(serde_json::from_value::<Recurrence>(text).unwrap(), every);
}

#[test]
fn reading_checks_too() {
    for recurrence in [
        json!({}),
        json!({ "cron": "0 2 * * *" }),
        json!({ "cron": "0 2 * * *", "zone": "UTC", "every_ms": 1 }),
        json!({ "cron": "0 2 * * *", "zone": "Mars/Olympus" }),
        json!({ "every_ms": 0 }),
        json!({ "every_ms": 1, "phase": 1 }),
    ] {
        assert!(serde_json::from_value::<Recurrence>(recurrence.clone()).is_err(), "{recurrence}");
    }
    let greedy =
        json!({ "id": "a", "recurrence": { "every_ms": 1 }, "missed": { "run_all": { "at_most": 1001 } } });
    assert!(serde_json::from_value::<Schedule>(greedy).is_err());
}

#[test]
fn no_more_runs_can_be_made_up_for_than_the_bound() {
    let all = |at_most: u32| MissedRuns::RunAll { at_most: at_most.try_into().unwrap() };
    assert!(nightly().with_missed(all(MAX_CATCH_UP)).is_ok());
    assert_eq!(nightly().with_missed(all(1001)), Err(ScheduleError::CatchUp { at_most: 1001 }));
}

#[test]
fn every_run_can_be_named() {
    let every = Every::new(Duration::from_secs(1)).unwrap();
    let longest = ScheduleId::new("s".repeat(MAX_SCHEDULE_ID_LEN)).unwrap();
    let name = Schedule::new(longest, every).unwrap().run_name(Timestamp::from_millis(u64::MAX));
    assert_eq!(name.len(), MAX_RUN_ID);
    let longer = ScheduleId::new("s".repeat(MAX_SCHEDULE_ID_LEN + 1)).unwrap();
    let len = MAX_SCHEDULE_ID_LEN + 1;
    assert_eq!(Schedule::new(longer, every), Err(ScheduleError::IdTooLong { len }));
}
