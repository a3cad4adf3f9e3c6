//! What holds for every pattern, every zone and every moment.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::id::ScheduleId;
use daa_core::workflow::schedule::{
    CronSchedule, Every, MissedRuns, Overlap, Recurrence, Schedule, ScheduleState,
};
use jiff::tz::TimeZoneDatabase;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::at;

const DAY: u64 = 86_400_000;

fn pattern() -> impl Strategy<Value = String> {
    let minute = select(vec!["*", "*/7", "0", "30", "15,45", "10-50/20"]);
    let hour = select(vec!["*", "*/2", "*/5", "1", "2", "2,3", "0-6", "23", "1-3/2"]);
    let day = select(vec!["*", "*", "*", "1", "L", "29", "30,31"]);
    let month = select(vec!["*", "*", "*", "3,10", "2"]);
    let weekday = select(vec!["*", "*", "*", "SUN", "MON-FRI", "SUN#L"]);
    let second = select(vec!["", "", "0 ", "*/20 ", "59 "]);
    (second, minute, hour, day, month, weekday)
        .prop_map(|(s, m, h, d, mo, w)| format!("{s}{m} {h} {d} {mo} {w}"))
}

fn zone() -> impl Strategy<Value = &'static str> {
    select(vec![
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Africa/Casablanca",
        "America/Sao_Paulo",
    ])
}

fn cron() -> impl Strategy<Value = CronSchedule> {
    (pattern(), zone()).prop_map(|(pattern, zone)| super::cron(&pattern, zone))
}

/// Moments from 2008 to 2030, half of them within hours of a change of the clock.
fn moment() -> impl Strategy<Value = Timestamp> {
    let anywhere = at("2008-01-01T00:00:00Z").as_millis()..at("2030-01-01T00:00:00Z").as_millis();
    let changes = select(vec![
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-03-08T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-10-03T15:30:00Z",
        "2026-04-04T15:00:00Z",
        "2011-12-30T10:00:00Z",
        "2018-11-04T03:00:00Z",
    ]);
    let near = (changes, 0..DAY).prop_map(|(change, offset)| at(change).as_millis() - DAY / 2 + offset);
    prop_oneof![anywhere, near].prop_map(Timestamp::from_millis)
}

fn recurrence() -> impl Strategy<Value = Recurrence> {
    let every = (1_u64..5_000_000, 0..DAY).prop_map(|(period, anchor)| {
        Every::new(Duration::from_millis(period)).unwrap().with_anchor(Timestamp::from_millis(anchor))
    });
    prop_oneof![3 => cron().prop_map(Recurrence::from), 1 => every.prop_map(Recurrence::from)]
}

fn run_all(recurrence: Recurrence) -> Schedule {
    let at_most = NonZeroU32::new(1_000).unwrap();
    Schedule::new(ScheduleId::new("law").unwrap(), recurrence)
        .unwrap()
        .with_missed(MissedRuns::RunAll { at_most })
        .unwrap()
        .with_overlap(Overlap::Allow)
}

/// What `due` fires when it is asked at these moments, one after the other.
fn fired(schedule: &Schedule, from: Timestamp, asked: impl IntoIterator<Item = Timestamp>) -> Vec<Timestamp> {
    let mut state = ScheduleState::starting_at(from);
    let mut fired = Vec::new();
    for now in asked {
        let due = state.due(schedule, now);
        state.apply(&due);
        fired.extend(due.fire);
    }
    fired
}

proptest! {
    #[test]
    fn occurrences_strictly_increase_and_the_search_backwards_finds_the_same(r in recurrence(), from in moment()) {
        let mut last = from;
        for _ in 0..20 {
            let Some(next) = r.next_after(last) else { break };
            prop_assert!(next > last);
            prop_assert_eq!(r.latest_by(next), Some(next));
            let just_before = Timestamp::from_millis(next.as_millis() - 1);
            prop_assert!(r.latest_by(just_before).is_none_or(|latest| latest <= last));
            prop_assert_eq!(r.next_after(just_before), Some(next));
            last = next;
        }
    }

    #[test]
    fn an_occurrence_shows_on_the_wall_what_the_pattern_asks_for_or_ends_a_gap(c in cron(), from in moment()) {
        let zone = TimeZoneDatabase::bundled().get(c.zone()).unwrap();
        let plain = super::cron(c.pattern(), "UTC");
        let mut last = from;
        for _ in 0..20 {
            let Some(next) = c.next_after(last) else { break };
            last = next;
            let moment = jiff::Timestamp::from_millisecond(next.as_millis().try_into().unwrap()).unwrap();
            let wall = jiff::tz::Offset::UTC.to_timestamp(zone.to_datetime(moment)).unwrap();
            let wall = Timestamp::from_millis(wall.as_millisecond().try_into().unwrap());
            let shown = plain.latest_by(wall) == Some(wall);
            let changes = zone.following(moment.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap()).next();
            prop_assert!(shown || changes.is_some_and(|change| change.timestamp() == moment), "{next:?}");
        }
    }

    #[test]
    fn a_time_on_the_wall_that_matches_occurs_when_it_is_first_shown(c in cron(), from in moment()) {
        let zone = TimeZoneDatabase::bundled().get(c.zone()).unwrap();
        let mut wall = from;
        for _ in 0..20 {
            let Some(next) = super::cron(c.pattern(), "UTC").next_after(wall) else { break };
            wall = next;
            let shown = jiff::Timestamp::from_millisecond(wall.as_millis().try_into().unwrap()).unwrap();
            let first = zone.to_ambiguous_timestamp(jiff::tz::Offset::UTC.to_datetime(shown));
            if matches!(first.offset(), jiff::tz::AmbiguousOffset::Gap { .. }) {
                continue;
            }
            let first = first.earlier().unwrap().as_millisecond().try_into().unwrap();
            let first = Timestamp::from_millis(first);
            prop_assert_eq!(c.latest_by(first), Some(first));
        }
    }

    #[test]
    fn whenever_it_is_asked_the_same_occurrences_fire_once(
        r in recurrence(),
        from in moment(),
        pauses in vec(0..DAY / 4, 1..12),
    ) {
        let schedule = run_all(r.clone());
        // Short enough that the bound of one call is not met, however seldom it asks.
        let end = (0..900).try_fold(from, |at, _| r.next_after(at)).unwrap_or(from + Duration::from_millis(3 * DAY));
        let end = end.min(from + Duration::from_millis(3 * DAY));
        let mut now = from;
        let seldom: Vec<_> = pauses
            .iter()
            .map(|&pause| { now = now + Duration::from_millis(pause); now })
            .take_while(|&now| now < end)
            .chain([end, end])
            .collect();
        let seldom = fired(&schedule, from, seldom);
        let every_instant = std::iter::successors(r.next_after(from), |&at| r.next_after(at));
        let always = fired(&schedule, from, every_instant.take_while(|&at| at <= end).take(1_000));
        prop_assert_eq!(&seldom, &always);
        prop_assert_eq!(seldom.iter().collect::<BTreeSet<_>>().len(), seldom.len());
    }

    #[test]
    fn no_policy_fires_an_occurrence_twice_or_one_that_is_none(
        r in recurrence(),
        from in moment(),
        missed in select(vec![MissedRuns::RunOnce, MissedRuns::Skip { grace: Duration::from_secs(7_200) }]),
        overlap in select(vec![Overlap::Allow, Overlap::Skip, Overlap::QueueOne]),
        asked in vec((-3_600_000_i64..20_000_000, any::<bool>()), 1..30),
    ) {
        let schedule = run_all(r.clone()).with_missed(missed).unwrap().with_overlap(overlap);
        let mut state = ScheduleState::starting_at(from);
        let mut now = from;
        let mut last = from;
        for (pause, close) in asked {
            now = Timestamp::from_millis(now.as_millis().saturating_add_signed(pause));
            let due = state.due(&schedule, now);
            prop_assert!(overlap == Overlap::Allow || state.open().is_none() || due.fire.is_empty());
            prop_assert!(due.next > Some(due.considered_to) || due.next.is_none());
            for &occurrence in &due.fire {
                prop_assert!(occurrence > last && occurrence <= due.considered_to);
                prop_assert_eq!(r.latest_by(occurrence), Some(occurrence));
                last = occurrence;
            }
            state.apply(&due);
            if let Some(open) = state.open().filter(|_| close) {
                state.closed(open);
            }
        }
    }

    #[test]
    fn what_is_read_from_outside_never_panics(pattern in "[-0-9*/,?#LW+@ A-Z]{0,40}", zone in "[A-Za-z/_]{0,20}", from in moment()) {
        for zone in [zone.as_str(), "Europe/Berlin"] {
            if let Ok(schedule) = CronSchedule::new(&pattern, zone) {
                let _ = schedule.next_after(from);
            }
        }
    }

    #[test]
    fn fields_of_any_shape_never_panic(fields in vec("[-0-9*/,?#LW]{1,6}", 5..7), from in moment()) {
        let next = CronSchedule::new(&fields.join(" "), "Europe/Berlin").ok().and_then(|s| Some((s.next_after(from)?, s)));
        if let Some((next, schedule)) = next {
            prop_assert_eq!(schedule.latest_by(next), Some(next));
        }
    }
}
