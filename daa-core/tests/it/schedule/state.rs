//! Missed runs, overlap, pause: one schedule that occurs every ten milliseconds.

use std::num::NonZeroU32;
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::id::ScheduleId;
use daa_core::workflow::schedule::{Due, Every, MissedRuns, Overlap, Schedule, ScheduleState, Skipped};

use super::{at, cron};

fn every_ten(missed: MissedRuns, overlap: Overlap) -> Schedule {
    let every = Every::new(Duration::from_millis(10)).unwrap();
    Schedule::new(ScheduleId::new("tick").unwrap(), every)
        .unwrap()
        .with_missed(missed)
        .unwrap()
        .with_overlap(overlap)
}

fn all(at_most: u32) -> MissedRuns {
    MissedRuns::RunAll { at_most: NonZeroU32::new(at_most).unwrap() }
}

fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn started() -> ScheduleState {
    ScheduleState::starting_at(ms(0))
}

fn step(state: &mut ScheduleState, schedule: &Schedule, now: u64) -> Due {
    let due = state.due(schedule, ms(now));
    state.apply(&due);
    due
}

#[track_caller]
fn fires(due: &Due, fire: &[u64], skipped: Skipped) {
    let fired: Vec<_> = due.fire.iter().map(|at| at.as_millis()).collect();
    assert_eq!((fired.as_slice(), due.skipped), (fire, skipped));
}

#[test]
fn nothing_is_due_before_the_first_occurrence() {
    let schedule = every_ten(MissedRuns::RunOnce, Overlap::Allow);
    let due = started().due(&schedule, ms(9));
    fires(&due, &[], Skipped::NONE);
    assert_eq!((due.considered_to, due.next), (ms(9), Some(ms(10))));
    assert!(due.is_quiet(&started()));
}

#[test]
fn an_occurrence_is_due_at_its_very_moment_and_only_once() {
    let schedule = every_ten(MissedRuns::RunOnce, Overlap::Allow);
    let mut state = started();
    let due = step(&mut state, &schedule, 10);
    fires(&due, &[10], Skipped::NONE);
    assert!(!due.is_quiet(&started()));
    assert_eq!(due.next, Some(ms(20)));
    fires(&step(&mut state, &schedule, 10), &[], Skipped::NONE);
    fires(&step(&mut state, &schedule, 19), &[], Skipped::NONE);
}

#[test]
fn what_occurred_at_the_start_is_not_its_business() {
    let schedule = every_ten(all(100), Overlap::Allow);
    fires(&ScheduleState::starting_at(ms(30)).due(&schedule, ms(39)), &[], Skipped::NONE);
}

#[test]
fn only_the_latest_missed_run_starts() {
    fires(
        &started().due(&every_ten(MissedRuns::RunOnce, Overlap::Allow), ms(57)),
        &[50],
        Skipped::Exactly(4),
    );
}

#[test]
fn the_latest_missed_runs_start_in_order() {
    fires(&started().due(&every_ten(all(3), Overlap::Allow), ms(57)), &[30, 40, 50], Skipped::Exactly(2));
    fires(&started().due(&every_ten(all(9), Overlap::Allow), ms(57)), &[10, 20, 30, 40, 50], Skipped::NONE);
}

#[test]
fn what_is_later_than_the_grace_is_skipped() {
    let schedule =
        |grace| every_ten(MissedRuns::Skip { grace: Duration::from_millis(grace) }, Overlap::Allow);
    fires(&started().due(&schedule(7), ms(57)), &[50], Skipped::Exactly(4));
    fires(&started().due(&schedule(6), ms(57)), &[], Skipped::Exactly(5));
    fires(&started().due(&schedule(17), ms(57)), &[40, 50], Skipped::Exactly(3));
    fires(&started().due(&schedule(0), ms(50)), &[50], Skipped::Exactly(4));
}

#[test]
fn a_run_that_is_open_lets_the_next_occurrence_be_skipped() {
    let schedule = every_ten(MissedRuns::RunOnce, Overlap::Skip);
    let mut state = started();
    fires(&step(&mut state, &schedule, 10), &[10], Skipped::NONE);
    assert_eq!(state.open(), Some(ms(10)));
    fires(&step(&mut state, &schedule, 20), &[], Skipped::Exactly(1));
    state.closed(ms(10));
    fires(&step(&mut state, &schedule, 29), &[], Skipped::NONE);
    fires(&step(&mut state, &schedule, 30), &[30], Skipped::NONE);
}

#[test]
fn of_several_at_once_the_first_starts_and_the_others_find_it_open() {
    fires(&started().due(&every_ten(all(3), Overlap::Skip), ms(57)), &[30], Skipped::Exactly(4));
    let due = started().due(&every_ten(all(3), Overlap::QueueOne), ms(57));
    fires(&due, &[30], Skipped::Exactly(3));
    assert_eq!(due.queued, Some(ms(40)));
}

#[test]
fn one_occurrence_waits_for_the_open_run() {
    let schedule = every_ten(MissedRuns::RunOnce, Overlap::QueueOne);
    let mut state = started();
    fires(&step(&mut state, &schedule, 10), &[10], Skipped::NONE);
    let due = state.due(&schedule, ms(20));
    assert!(!due.is_quiet(&state));
    state.apply(&due);
    fires(&due, &[], Skipped::NONE);
    assert_eq!(state.queued(), Some(ms(20)));
    fires(&step(&mut state, &schedule, 30), &[], Skipped::Exactly(1));
    state.closed(ms(10));
    fires(&step(&mut state, &schedule, 35), &[20], Skipped::NONE);
    assert_eq!((state.open(), state.queued()), (Some(ms(20)), None));
    fires(&step(&mut state, &schedule, 40), &[], Skipped::NONE);
    assert_eq!(state.queued(), Some(ms(40)));
}

#[test]
fn the_end_of_an_older_run_closes_nothing() {
    let schedule = every_ten(MissedRuns::RunOnce, Overlap::Allow);
    let mut state = started();
    step(&mut state, &schedule, 10);
    step(&mut state, &schedule, 20);
    state.closed(ms(10));
    assert_eq!(state.open(), Some(ms(20)));
}

#[test]
fn what_occurs_during_a_pause_never_starts() {
    let schedule = every_ten(all(100), Overlap::Allow);
    let mut state = started();
    step(&mut state, &schedule, 10);
    state.pause();
    let due = step(&mut state, &schedule, 35);
    fires(&due, &[], Skipped::NONE);
    assert_eq!(due.next, None);
    state.resume(ms(42));
    fires(&step(&mut state, &schedule, 57), &[50], Skipped::NONE);
}

#[test]
fn resuming_what_is_not_paused_skips_nothing() {
    let schedule = every_ten(MissedRuns::RunOnce, Overlap::Allow);
    let mut state = started();
    state.resume(ms(15));
    fires(&state.due(&schedule, ms(16)), &[10], Skipped::NONE);
}

#[test]
fn a_clock_that_goes_back_starts_nothing_twice() {
    let schedule = every_ten(all(100), Overlap::Allow);
    let mut state = started();
    let first = step(&mut state, &schedule, 40);
    fires(&step(&mut state, &schedule, 25), &[], Skipped::NONE);
    assert_eq!(state.considered_to(), ms(40));
    step(&mut state, &schedule, 50);
    state.apply(&first);
    assert_eq!((state.considered_to(), state.open()), (ms(50), Some(ms(50))));
}

#[test]
fn ten_years_of_seconds_cost_no_more_than_the_bound() {
    let per_second = cron("* * * * * *", "Europe/Berlin");
    let (from, now) = (at("2016-01-01T00:00:00Z"), at("2026-01-01T00:00:00.500Z"));
    for (missed, fired, last) in [
        (MissedRuns::RunOnce, 1, "2026-01-01T00:00:00Z"),
        (MissedRuns::Skip { grace: Duration::from_secs(2) }, 2, "2026-01-01T00:00:00Z"),
        (MissedRuns::Skip { grace: Duration::MAX }, 1000, "2026-01-01T00:00:00Z"),
        (all(1000), 1000, "2026-01-01T00:00:00Z"),
    ] {
        let id = ScheduleId::new("busy").unwrap();
        let schedule = Schedule::new(id, per_second.clone()).unwrap();
        let schedule = schedule.with_missed(missed).unwrap().with_overlap(Overlap::Allow);
        let due = ScheduleState::starting_at(from).due(&schedule, now);
        assert_eq!((due.fire.len(), due.fire.last()), (fired, Some(&at(last))), "{missed:?}");
        assert_eq!(due.skipped, Skipped::AtLeast(1000), "{missed:?}");
        assert_eq!(due.next, Some(at("2026-01-01T00:00:01Z")));
    }
}

#[test]
fn a_decision_and_a_state_survive_being_written_down() {
    let schedule = every_ten(all(3), Overlap::QueueOne);
    let mut state = started();
    let due = step(&mut state, &schedule, 57);
    let text = serde_json::to_string(&due).unwrap();
    assert_eq!(serde_json::from_str::<Due>(&text).unwrap(), due);
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<ScheduleState>(&text).unwrap(), state);
}
